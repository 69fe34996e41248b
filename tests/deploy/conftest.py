"""One running stack for all tests that need one: production settings, two replicas of each service."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import secrets
from tests.deploy.stack import FIRST, NEXT, PROJECT, SERVICES, Stack, free_port, readable_by_containers

MAIL = {"FOLLOWUP_SMTP_HOST": "mail.invalid", "FOLLOWUP_SMTP_SENDER": "care@example.org"}
"""A mail server that nobody reaches: these tests send nothing."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Built, started, ready; stopped and removed afterwards."""
    installation = new_installation(tmp_path_factory.mktemp("stack"))
    try:
        installation.compose("build", "--quiet")
        installation.up()
        yield installation
    finally:
        remove(installation)


def new_installation(folder: Path) -> Stack:
    secrets.generate_for_containers(folder / "secrets")
    readable_by_containers()
    return Stack(folder, PROJECT, free_port(), settings={"AFTERGLOW_REPLICAS": "2", **MAIL})


def remove(installation: Stack) -> None:
    """Nothing stays: containers, volumes, networks, images."""
    installation.compose("--profile", "observability", "down", "--remove-orphans", "--volumes", "--timeout", "30", check=False)
    images = [f"afterglow/{name}:{version}" for name in (*SERVICES, "operator") for version in (FIRST, NEXT)]
    subprocess.run(["docker", "image", "rm", "--force", *images], capture_output=True, check=False)
