"""The way of an infusion through followup, from the handler to the queue, is what docs/architecture.md shows: short, and downwards."""

import ast
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from tests.followup.clinic import Clinic

ROOT = Path(__file__).parents[2]
FOLLOWUP = ROOT / "services/followup"
WAY = re.findall(
    r"^\| \d+ \| `([\w/]+\.py)` \|",
    (ROOT / "docs/architecture.md").read_text().partition("from the handler to the queue:")[2].partition("\n## ")[0],
    flags=re.MULTILINE,
)
BESIDE_THE_WAY = {
    "plans/slots.py": "the values that are handed down the way",
    "plans/means.py": "the clock, the protocols and the policy, as one argument",
    "plans/protocol.py": "the data of a protocol",
    "reasons.py": "why a task is there, as a code with facts",
    "tasks/pressing.py": "the default order of what the queue reads",
    "tasks/wording.py": "the words in which a reader is told of a task",
    "local_time.py": "the wall clock in a zone",
    "tasks/rules.py": "priorities and states of tasks",
    "tasks/models.py": "the table of tasks, as the queue reads it",
    "tasks/schemas.py": "the shape of an answer",
    "app.py": "where the clinic's policy is handed to what needs it",
    "tasks/in_force.py": "the policy that counts in the clinic now",
    "tasks/policy.py": "the data of the policy",
    "tasks/suggestions.py": "whom the queue suggests, when it is read",
    "tables.py": "the form in which rows are given to a statement",
}
"""What is entered on the way and holds no step of it: values, data, shapes. A reader needs none of it to see where an infusion goes."""


def imports_of(file: str) -> set[str]:
    """The files of followup that a file imports."""
    statements = (node for node in ast.walk(ast.parse((FOLLOWUP / file).read_text())) if isinstance(node, ast.ImportFrom))
    modules = {f"{node.module}{name}" for node in statements for name in ("", *(f".{alias.name}" for alias in node.names))}
    return {f"{module.removeprefix('services.followup.').replace('.', '/')}.py" for module in modules}


@contextmanager
def entered() -> Iterator[list[str]]:
    """The files of followup whose functions run inside the block, in the order in which they are first entered."""
    files: list[str] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(FOLLOWUP) and (name := str(path.relative_to(FOLLOWUP))) not in files:
            files.append(name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(before)


def test_the_way_is_short_and_every_file_of_it_is_there() -> None:
    assert 1 < len(WAY) == len(set(WAY)) <= 10
    assert [file for file in WAY if not (FOLLOWUP / file).is_file()] == []


@pytest.mark.parametrize("file", WAY)
def test_no_file_of_the_way_imports_one_above_it(file: str) -> None:
    assert imports_of(file) & set(WAY[: WAY.index(file)]) == set()


async def test_an_infusion_enters_these_files_in_this_order_and_no_others(clinic: Clinic) -> None:
    visit = clinic.visit()
    with entered() as files:
        await clinic.tell(visit.told())
        shown = await clinic.get("tasks", view="unassigned")
    assert [task["infusion_id"] for task in shown.json()["items"]] == [str(visit.infusion_id)]
    assert [file for file in files if file not in BESIDE_THE_WAY] == WAY
    assert set(files) >= set(BESIDE_THE_WAY), "this list names what is entered, no more"
