"""Dependencies are few, explained, and pinned by hash without naming where they come from."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
EMBEDDED = [*RUNTIME, *PROJECT["project"]["optional-dependencies"]["embedded"]]
DEVELOPING = [*EMBEDDED, *PROJECT["dependency-groups"]["test"], *PROJECT["dependency-groups"]["lint"]]
LOCKS = {"requirements.lock": RUNTIME, "requirements-embedded.lock": EMBEDDED, "requirements-dev.lock": DEVELOPING}


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=~!; ]", requirement, maxsplit=1)[0].lower()


def names_of(requirements: Iterable[str]) -> set[str]:
    return {name_of(requirement) for requirement in requirements}


def explained() -> set[str]:
    """The names in the first column of the tables of docs/dependencies.md, up to what is written by hand."""
    text = (ROOT / "docs/dependencies.md").read_text().partition("## Written by hand")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return names_of(name.strip() for row in rows for name in row.split(",")) - {"package"}


def pins(lock: str) -> list[str]:
    """Each requirement of a lock with its hashes, as one line."""
    return re.sub(r"\\\n", "", (ROOT / lock).read_text()).splitlines()


def test_every_dependency_has_a_reason() -> None:
    assert explained() == names_of(DEVELOPING)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_is_exact_and_hashed(lock: str) -> None:
    requirements = [line for line in pins(lock) if line and not line.lstrip().startswith("#")]
    assert requirements
    assert [line for line in requirements if not re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


@pytest.mark.parametrize("lock", [*LOCKS, "package-lock.json"])
def test_a_lock_names_no_host_and_no_folder(lock: str) -> None:
    assert re.findall(r"\w+://\S+|--find-links.*|--index-url.*|(?<=[ =])/\S+", (ROOT / lock).read_text()) == []


@pytest.mark.parametrize(("lock", "requirements"), LOCKS.items(), ids=LOCKS)
def test_what_is_declared_is_locked(lock: str, requirements: list[str]) -> None:
    assert names_of(requirements) <= names_of(line for line in pins(lock) if "==" in line)


def test_the_locks_agree() -> None:
    exact = [{line.split()[0] for line in pins(lock) if "==" in line} for lock in LOCKS]
    assert exact[0] < exact[1] < exact[2]
