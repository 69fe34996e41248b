"""The way of an infusion through followup, from the handler to the queue: few files, and no step upwards."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.followup.clinic import Clinic

ROOT = Path(__file__).parents[2]
FOLLOWUP = ROOT / "services/followup"
SHOWN = re.findall(
    r"^\| \d+ \| `([\w/]+\.py)` \|",
    (ROOT / "docs/architecture.md").read_text().partition("from the handler to the queue:")[2].partition("\n## ")[0],
    flags=re.MULTILINE,
)
MOST_STEPS = 20
"""Files that read or write, of the handler and of the queue that is read. One more is a question: can it be one of these?"""
MOST_VALUES = 32
"""Files of values, rules, data and words, which know no database."""

Call = tuple[str, str]
"""From one file into another."""


@contextmanager
def watched() -> Iterator[set[Call]]:
    """The calls inside the block from one file of followup into another; what lies between them is not followup's."""
    calls: set[Call] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        callee = _file(frame)
        # Values that are handed down one by one are asked for from below, which is no call of what made them.
        if event == "call" and callee is not None and frame.f_code.co_name != "<genexpr>":
            caller = next((file for above in _above(frame) if (file := _file(above)) is not None), None)
            if caller != callee:
                calls.add((caller or "", callee))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def _above(frame: FrameType) -> Iterator[FrameType]:
    above = frame.f_back
    while above is not None:
        yield above
        above = above.f_back


def _file(frame: FrameType) -> str | None:
    path = Path(frame.f_code.co_filename)
    return str(path.relative_to(FOLLOWUP)) if path.is_relative_to(FOLLOWUP) else None


def imports_of(file: str) -> set[str]:
    """The files of followup that a file imports."""
    statements = (node for node in ast.walk(ast.parse((FOLLOWUP / file).read_text())) if isinstance(node, ast.ImportFrom))
    modules = {f"{node.module}{name}" for node in statements for name in ("", *(f".{alias.name}" for alias in node.names))}
    return {f"{module.removeprefix('services.followup.').replace('.', '/')}.py" for module in modules}


def upward(calls: set[Call], imported_by: Mapping[str, set[str]]) -> set[Call]:
    """Calls into a file that stands on the one which calls: whoever reads the lower one does not see them coming."""
    return {(caller, callee) for caller, callee in calls if caller in imported_by[callee]}


async def test_an_infusion_enters_few_files_and_takes_no_step_upwards(clinic: Clinic) -> None:
    visit = clinic.visit()
    with watched() as calls:
        await clinic.tell(visit.told())
        shown = await clinic.get("tasks", view="unassigned")
    assert [task["infusion_id"] for task in shown.json()["items"]] == [str(visit.infusion_id)]
    files = {callee for _, callee in calls}
    steps = {file for file in files if "AsyncSession" in (FOLLOWUP / file).read_text()}
    assert len(steps) <= MOST_STEPS, sorted(steps)
    assert len(files - steps) <= MOST_VALUES, sorted(files - steps)
    assert upward(calls, {file: imports_of(file) for file in files}) == set()
    assert set(SHOWN) <= files, "docs/architecture.md shows files that are not entered"


def test_a_call_into_a_file_that_stands_on_the_caller_is_seen() -> None:
    imported_by = {"commands.py": {"rules.py"}, "rules.py": set[str]()}
    assert upward({("commands.py", "rules.py"), ("rules.py", "commands.py")}, imported_by) == {("rules.py", "commands.py")}
