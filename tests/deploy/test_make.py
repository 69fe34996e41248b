"""What `make` sees to before anything starts, on a clone whose owner keeps others out."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.stack import ROOT, environment

MOUNTED = ("gateway", "kafka", "prometheus")


@pytest.fixture
def private_clone(tmp_path: Path) -> Path:
    """As a clone made with umask 077: nobody else can read a file of it."""
    for name in ("deploy", "services", "shared"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("secrets", "demo", "__pycache__"))
    shutil.copytree(ROOT / "services/demo", tmp_path / "services/demo", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "requirements-embedded.lock"):
        shutil.copy2(ROOT / name, tmp_path / name)
    for path in (tmp_path / "deploy").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


def test_secrets_opens_the_settings_that_containers_read_and_nothing_else(private_clone: Path) -> None:
    command = ["make", "--old-file=requirements-embedded.lock", "secrets"]
    made = subprocess.run(command, cwd=private_clone, env=environment(), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    for folder in MOUNTED:
        mounted = [private_clone / "deploy" / folder, *(private_clone / "deploy" / folder).rglob("*")]
        assert [path for path in mounted if path.stat().st_mode & 0o007 != (0o005 if path.is_dir() else 0o004)] == []
    assert (private_clone / "deploy/demo/secrets").stat().st_mode & 0o077 == 0
    assert (private_clone / "deploy/compose.demo.yml").stat().st_mode & 0o077 == 0
