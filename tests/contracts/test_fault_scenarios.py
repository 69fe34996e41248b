"""The page about faults names every scenario, and every one once."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def scenarios() -> list[str]:
    """The tests of all files that are marked as fault scenarios."""
    files = [path for path in (ROOT / "tests/faults").glob("test_*.py") if "pytest.mark.faults" in path.read_text()]
    trees = [ast.parse(path.read_text()) for path in files]
    return [node.name for tree in trees for node in tree.body if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_")]


def test_every_fault_scenario_is_a_line_of_the_page() -> None:
    lines = re.findall(r"^\| `(test_\w+)` \|", (ROOT / "docs/faults.md").read_text(), flags=re.MULTILINE)
    assert sorted(lines) == sorted(scenarios())
