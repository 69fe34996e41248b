"""What the documents point at exists, and decisions stay short."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from shared.postgres import SERVICES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs/decisions").glob("0*.md"))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", page.read_text())]
    assert [target for target in targets if "://" not in target and target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`((?:services|shared|tests|docs|deploy|\.ci)/[\w./-]+)`", page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), flags=re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_promises_delivery_exactly_once(page: Path) -> None:
    assert re.findall(r"exactly[- ]once delivery", page.read_text(), flags=re.IGNORECASE) == []


def test_every_decision_has_a_number_of_its_own_and_stands_in_the_list_once_in_order() -> None:
    listed = re.findall(r"^- \[(\d{4}) [^\]]+\]\(([^)]+)\)", (ROOT / "docs/decisions/README.md").read_text(), flags=re.MULTILINE)
    assert [name for _, name in listed] == [page.name for page in DECISIONS]
    assert len({number for number, _ in listed}) == len(listed)
    assert [number for number, _ in listed] == [page.name[:4] for page in DECISIONS]


def test_what_the_readme_calls_afterglow_runs() -> None:
    """Every advice line of the commands begins with this name, and so do the lines of docs/operations.md."""
    (defined,) = re.findall(r"^afterglow\(\) .*$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert defined in (ROOT / "docs/operations.md").read_text()
    typed = f"{defined.replace('.venv/bin/python', shlex.quote(sys.executable))}\nafterglow pipeline --help"
    told = subprocess.run(["bash", "-c", typed], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "afterglow here is: .venv/bin/python -m services" in " ".join(told.split())


def test_a_python_without_the_packages_is_told_what_to_run() -> None:
    told = subprocess.run(
        [sys.executable, "-S", "-m", "services", "pipeline", "status"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "typer is not installed for this Python. Run: make setup. Then: .venv/bin/python -m services\n"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_alone_tells_the_same_to_a_python_without_the_packages(service: str) -> None:
    told = subprocess.run([sys.executable, "-S", "-m", f"services.{service}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (1, "")
    advice = f"is not installed for this Python. Run: make setup. Then: .venv/bin/python -m services.{service}\n"
    assert re.fullmatch(rf"[a-z_]+ {re.escape(advice)}", told.stderr)


@pytest.mark.parametrize("service", SERVICES)
def test_a_module_of_ours_that_is_missing_is_told_as_the_defect_that_it_is(service: str) -> None:
    without = (
        f"import runpy, sys; sys.modules['services.{service}.app'] = None; runpy.run_module('services.{service}', run_name='__main__')"
    )
    told = subprocess.run([sys.executable, "-c", without], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (told.returncode, "ModuleNotFoundError" in told.stderr, "make setup" in told.stderr) == (1, True, False)


@pytest.mark.parametrize("decision", DECISIONS, ids=name_of)
def test_a_decision_is_short_listed_and_says_what_was_refused(decision: Path) -> None:
    text = decision.read_text()
    assert len(text.splitlines()) <= 40
    assert decision.name in (decision.parent / "README.md").read_text()
    assert text.startswith(f"# {decision.name[:4]} ")
    assert "## Refused" in text
