"""What `make` sees to before anything starts, on a clone whose owner keeps others out, and what it makes of how pytest ended."""

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


PYTEST = """#!/bin/sh
case "$*" in *"-m kafka"*) exit $SECOND ;; *) exit $FIRST ;; esac
"""


def run_of_tests(folder: Path, arguments: str, first: int, second: int, target: str = "test") -> subprocess.CompletedProcess[str]:
    """``make test`` where pytest ends its first and its second run with these codes."""
    (folder / ".venv/bin").mkdir(parents=True)
    python = folder / ".venv/bin/python"
    python.write_text(PYTEST)
    python.chmod(0o700)
    (folder / "tests").mkdir()
    (folder / "tests/test_one.py").touch()
    shutil.copy2(ROOT / "Makefile", folder / "Makefile")
    ready = [".venv/.dev-ready", "node_modules/.ready"]
    command = ["make", *(f"--old-file={stamp}" for stamp in ready), target, *([f"ARGS={arguments}"] if arguments else [])]
    for stamp in ready:
        (folder / stamp).parent.mkdir(exist_ok=True)
        (folder / stamp).touch()
    settings = environment() | {"FIRST": str(first), "SECOND": str(second)}
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "first", "second", "passes"),
    [
        ("", 0, 0, True),
        ("", 0, 5, False),
        ("", 5, 0, False),
        ("tests/test_one.py", 0, 5, True),
        ("tests/test_one.py::test_it -x", 5, 0, True),
        ("tests/test_one.py", 5, 5, False),
        ("tests/test_one.py", 1, 0, False),
        ("tests/test_one.py", 0, 1, False),
        ("--ignore=tests/test_two.py -k 'this or that'", 0, 0, True),
    ],
)
def test_a_run_of_named_files_may_find_none_in_one_of_two_runs(
    tmp_path: Path, arguments: str, first: int, second: int, passes: bool
) -> None:
    ran = run_of_tests(tmp_path, arguments, first, second)
    assert (ran.returncode == 0) is passes, ran.stderr
    assert ("stopped" in ran.stderr) is not passes


@pytest.mark.parametrize("target", ["test", "test-fast"])
def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path, target: str) -> None:
    ran = run_of_tests(tmp_path, "tests/test_one.py tests/test_two.py::test_it", 0, 0, target)
    assert ran.returncode != 0
    assert "There is no tests/test_two.py here." in ran.stderr


def test_an_interpreter_that_does_not_run_is_said_to_be_none(tmp_path: Path) -> None:
    broken = tmp_path / "python3.9"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o700)
    shutil.copy2(ROOT / "Makefile", tmp_path / "Makefile")
    command = ["make", ".venv/bin/python", f"PYTHON={broken}"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert f"{broken} is none that runs." in ran.stderr
