"""What each scenario injected and what came out of it: told while it runs, and once more as a table at the end."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from tests.faults.checker import Verdict


@dataclass
class Outcome:
    """One scenario's line."""

    scenario: str
    injected: str
    load: str
    verdict: Verdict
    wanted: str = "whole"
    """``whole``, or for a planted bug ``caught``."""


@dataclass
class Report:
    """All lines of a run; ``tell`` shows one line at once, past pytest's capture."""

    outcomes: list[Outcome] = field(default_factory=list)
    tell: Callable[[str], None] = print

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        absorbed = f"{outcome.verdict.absorbed} repetitions absorbed"
        self.tell(f"    {outcome.injected} | {outcome.load} | wanted {outcome.wanted}: {outcome.verdict} | {absorbed}")

    def table(self, width: int) -> str:
        """All lines as a table for a terminal of ``width`` columns."""
        names = ("scenario", "injected", "load during the fault", "wanted", "lost", "doubled", "disordered", "invented", "absorbed")
        table = Table(*names, title="Faults: what was injected, and what final state says", title_justify="left")
        for outcome in self.outcomes:
            counts = (*outcome.verdict.counts, outcome.verdict.absorbed)
            table.add_row(outcome.scenario, outcome.injected, outcome.load, outcome.wanted, *map(str, counts))
        written = io.StringIO()
        Console(file=written, width=width, no_color=True).print(table)
        return written.getvalue()
