"""Each import contract holds for the tree, and each one catches the breach that it is there for."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

BREACHES = [
    ("side-by-side", "services/followup/settings.py", "import services.intake.settings"),
    ("one-view-of-all", "services/__init__.py", "import services.sessions.app"),
    ("shared-looks-down", "shared/clock.py", "from services.intake import settings"),
    ("events-alone", "shared/events/registry.py", "import shared.clock"),
    ("events-alone", "shared/events/intake.py", "import sqlalchemy"),
    ("kafka-in-one-place", "shared/outbox.py", "from aiokafka.errors import KafkaError"),
    ("rules-are-pure", "services/followup/checkins/rules.py", "from sqlalchemy import select"),
    ("rules-are-pure", "services/followup/checkins/rules.py", "import shared.clock"),
    ("rules-are-pure", "services/followup/checkins/rules.py", "import services.followup.tasks.models"),
    ("reconciling-is-pure", "services/followup/plans/reconcile.py", "import services.followup.plans.models"),
    ("reconciling-is-pure", "services/followup/plans/plan.py", "import shared.clock"),
    ("rules-reach-no-machinery", "services/followup/checkins/rules.py", "import services.followup.plans.models"),
    ("slices-in-layers", "services/followup/checkins/rules.py", "import services.followup.checkins.models"),
    ("slices-in-layers", "services/followup/tasks/models.py", "import services.followup.tasks.queries"),
    ("slices-in-layers", "services/intake/patients/commands.py", "import services.intake.patients.api"),
    ("slices-below-wiring", "services/followup/tasks/queries.py", "import services.followup.handlers"),
    ("slices-below-wiring", "services/intake/patients/api.py", "import services.intake.app"),
    ("use-cases-know-no-framework", "services/sessions/infusions/commands.py", "from fastapi import Request"),
    ("use-cases-know-no-request", "services/intake/patients/commands.py", "from shared.web import CallContext"),
    ("no-circles-in-shared", "shared/clock.py", "import shared.service"),
]
"""A contract, a file, and the line that must not be in it."""


@pytest.fixture(scope="module")
def copy_of_the_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python files of the source and the contracts; nothing else matters to them."""
    copy = tmp_path_factory.mktemp("tree")
    folders = ("services", "shared", "tests/contracts")
    for source in [ROOT / "pyproject.toml", *(path for folder in folders for path in (ROOT / folder).rglob("*.py"))]:
        target = copy / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return copy


@contextmanager
def planted(file: Path, line: str) -> Iterator[None]:
    """The file with one more line, for as long as the block runs."""
    before = file.read_text()
    file.write_text(f"{before}\n{line}\n")
    try:
        yield
    finally:
        file.write_text(before)


def lint(tree: Path, contract: str | None = None) -> subprocess.CompletedProcess[str]:
    """Check one contract, or all, over a tree."""
    program = str(Path(sys.executable).with_name("lint-imports"))
    command = [program, "--no-logo", "--no-cache", *(("--contract", contract) if contract else ())]
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def test_the_tree_keeps_every_contract(copy_of_the_tree: Path) -> None:
    result = lint(copy_of_the_tree)
    assert result.returncode == 0, result.stdout
    assert f"{len(CONTRACTS)} kept, 0 broken" in result.stdout


@pytest.mark.parametrize(("contract", "file", "line"), BREACHES)
def test_a_breach_is_caught(copy_of_the_tree: Path, contract: str, file: str, line: str) -> None:
    with planted(copy_of_the_tree / file, line):
        result = lint(copy_of_the_tree, contract)
    assert result.returncode == 1, result.stdout
    assert "0 kept, 1 broken" in result.stdout


def test_every_contract_is_shown_to_catch_a_breach() -> None:
    assert {contract for contract, _, _ in BREACHES} == {contract["id"] for contract in CONTRACTS}
