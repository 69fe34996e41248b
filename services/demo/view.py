"""The live view in the terminal: the chairs, the events going round, the queue filling, on the simulated clock."""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_WIDE = 120
"""From this many columns on, the tables stand side by side."""

_STYLES = {
    "completed": "green",
    "stopped-early": "yellow",
    "left-against-advice": "yellow",
    "transferred": "red",
    "not-done": "dim",
    "no-show": "dim",
    "in-progress": "cyan",
    "recovery": "cyan",
    "arrived": "blue",
    "entered-in-error": "magenta",
}


@dataclass
class Visit:
    """One patient's row on the board."""

    patient_number: str
    time_zone: str
    infusion: str = "scheduled"
    patient: str = "in care"
    messages: int = 0
    answers: int = 0


@dataclass
class Board:
    """What is known of the day so far."""

    visits: list[Visit] = field(default_factory=list)
    news: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    events: Counter[str] = field(default_factory=Counter)
    queue: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    restarts: int = 0

    def tell(self, now: datetime, what: str) -> None:
        """Add a line of news."""
        self.news.append(f"{now:%a %H:%M}  {what}")

    def render(self, now: datetime, width: int) -> RenderableType:
        """The whole view at a simulated moment (UTC), for a terminal of ``width`` columns."""
        head = Text.assemble(
            ("Afterglow demo  ", "bold"), (f"{now:%A %H:%M} UTC", "bold cyan"), f"   requests {self.requests}   restarts {self.restarts}",
        )  # fmt: skip
        side = Group(self._events(), self._queue(), Panel("\n".join(self.news) or "...", title="news", title_align="left"))
        if width < _WIDE:
            return Group(head, self._chairs(), side)
        columns = Table.grid(padding=(0, 2))
        columns.add_row(self._chairs(), side)
        return Group(head, columns)

    def _chairs(self) -> Table:
        table = Table("patient", "zone", "infusion", "patient is", "messages", "answers", title="infusions", title_justify="left")
        for visit in self.visits:
            state = Text(visit.infusion, style=_STYLES.get(visit.infusion, ""))
            zone = visit.time_zone.removeprefix("America/")
            table.add_row(visit.patient_number, zone, state, visit.patient, str(visit.messages), str(visit.answers))
        return table

    def _events(self) -> Table:
        table = Table("service", "relayed", "handled", title="events", title_justify="left")
        for service in ("intake", "sessions", "followup"):
            table.add_row(service, str(self.events[f"{service}-relayed"]), str(self.events[f"{service}-handled"]))
        return table

    def _queue(self) -> Table:
        table = Table(*(self.queue or {"queue": 0}), title="queue", title_justify="left")
        table.add_row(*(str(count) for count in (self.queue or {"queue": 0}).values()))
        return table
