"""One running stack for all tests that need one: production settings, two replicas of each service."""

import os
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from services import secrets
from tests.deploy.stack import FIRST, NEXT, PROJECT, SERVICES, Stack, free_port, readable_by_containers

MAIL = {"FOLLOWUP_SMTP_HOST": "mail.invalid", "FOLLOWUP_SMTP_SENDER": "care@example.org"}
"""A mail server that nobody reaches: these tests send nothing."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed shows what the containers that it was given have logged: it is gone with them."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        stacks = [given for given in item.funcargs.values() if isinstance(given, Stack)]
        report.sections.extend((f"containers of {stack.project}", stack.said()) for stack in stacks)
    return report


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An installation with its images, nothing of it running; all of it removed afterwards."""
    installation = new_installation(tmp_path_factory.mktemp("stack"))
    try:
        installation.compose("build", "--quiet")
        yield installation
    finally:
        remove(installation)


@pytest.fixture(scope="session")
def stack(built: Stack) -> Iterator[Stack]:
    """The same, started and ready."""
    try:
        built.up()
        yield built
    finally:
        built.down("--volumes")


@pytest.fixture(scope="module")
def demo(built: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A demo stack of the same images, as `make up` starts one where nothing is configured; two replicas of each service."""
    folder = tmp_path_factory.mktemp("demo")
    secrets.generate_for_containers(folder / "secrets")
    (folder / "messages").mkdir(mode=0o700)
    if os.getuid() == 0:
        os.chown(folder / "messages", 10001, 10001)
    owner = (folder / "messages").stat()
    settings = {
        "AFTERGLOW_REPLICAS": "2",
        "AFTERGLOW_DEMO_FOLDER": str(folder),
        "AFTERGLOW_DEMO_USER": f"{owner.st_uid}:{owner.st_gid}",
    }
    installation = Stack(folder, f"{PROJECT}-demo", free_port(), settings=settings, files=("docker-compose.yml", "deploy/compose.demo.yml"))
    try:
        installation.up()
        yield installation
    finally:
        installation.compose("down", "--remove-orphans", "--volumes", "--timeout", "30", check=False)


def new_installation(folder: Path) -> Stack:
    secrets.generate_for_containers(folder / "secrets")
    readable_by_containers()
    return Stack(folder, PROJECT, free_port(), settings={"AFTERGLOW_REPLICAS": "2", **MAIL})


def remove(installation: Stack) -> None:
    """Nothing stays: containers, volumes, networks, images."""
    installation.compose("--profile", "observability", "down", "--remove-orphans", "--volumes", "--timeout", "30", check=False)
    images = [f"afterglow/{name}:{version}" for name in (*SERVICES, "operator") for version in (FIRST, NEXT)]
    subprocess.run(["docker", "image", "rm", "--force", *images], capture_output=True, check=False)
