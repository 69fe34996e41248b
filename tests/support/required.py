"""Pytest plugin: tests that need Docker or a browser are skipped, loudly, where it is missing; under ``CI=true`` nothing is skipped.

A marker of ``NEEDS`` says what a test needs. Where that is missing the test is skipped and the run ends with one line that
counts what was left out. A continuous-integration run promises that everything ran, so there every skip, for whatever
reason, is a failure.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import cache

import docker
import pytest

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Need:
    """Something that a marked test needs of the machine."""

    what: str
    is_there: Callable[[], bool]
    how_to_get_it: str


@cache
def docker_answers() -> bool:
    """Whether a Docker engine answers within five seconds."""
    try:
        client = docker.from_env(timeout=5)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        client.close()


@cache
def compose_answers() -> bool:
    """Whether the engine answers and `docker compose` is there."""
    if not docker_answers() or shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


def chromium_path() -> str | None:
    """Where this machine's Chromium is, or None."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


NEEDS: Mapping[str, Need] = {
    "kafka": Need("Docker", docker_answers, "start a Docker engine (docker info must answer)"),
    "faults": Need("Docker", docker_answers, "start a Docker engine (docker info must answer)"),
    "compose": Need("Docker Compose", compose_answers, "install it (docker compose version must answer)"),
    "browser": Need("Chromium", lambda: chromium_path() is not None, "install it (Debian: apt install chromium)"),
}


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def missing(item: pytest.Item) -> Need | None:
    """The first need of this test that the machine does not meet."""
    wanted = (need for marker, need in NEEDS.items() if item.get_closest_marker(marker))
    return next((need for need in wanted if not need.is_there()), None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave a test out before its fixtures try to start what is not there."""
    need = missing(item)
    if need is not None:
        item.user_properties.append(("missing", need.what))
        pytest.skip(f"{need.what} is not there: {need.how_to_get_it}")


def as_failure(longrepr: object) -> str:
    """What a skip that counts as a failure says."""
    reason = longrepr[2] if isinstance(longrepr, tuple) else longrepr
    return f"nothing may be skipped under CI=true, and this was. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn every skip of a test into a failure under CI."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and in_ci():
        report.outcome, report.longrepr = "failed", as_failure(report.longrepr)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole file into a failure under CI."""
    report = yield
    if report.skipped and in_ci():
        report.outcome, report.longrepr = "failed", as_failure(report.longrepr)
    return report


def left_out(terminalreporter: pytest.TerminalReporter) -> dict[str, int]:
    """How many tests were skipped for each thing that is missing."""
    counts: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", ()):
        what = dict(report.user_properties).get("missing") if isinstance(report, pytest.TestReport) else None
        if what is not None:
            counts[str(what)] = counts.get(str(what), 0) + 1
    return counts


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once, where nobody overlooks it, what this run did not look at."""
    counts = left_out(terminalreporter)
    if counts:
        listed = ", ".join(f"{count} for want of {what}" for what, count in sorted(counts.items()))
        terminalreporter.write_sep("!", f"NOT TESTED: {sum(counts.values())} tests were left out ({listed})", yellow=True, bold=True)
