"""What exists for a patient, with what no fact tells: the promised times, and what people and time have done. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from services.followup.plans.wanted import OPEN, Key, State, Times


@dataclass(frozen=True, slots=True)
class Stored:
    """One item that exists. Further attempts of the same call are the same item; one that reached nobody is not done."""

    key: Key
    is_task: bool
    """Asked by a person; otherwise the patient is asked by a link."""
    state: State
    times: Times
    reason: str | None = None
    gives_way_to: UUID | None = None
    offered: bool = False
    sent: bool = False
    """A link to it has left, and is dead once the item has ended."""
    link_open: bool = False
    """It has expired, and a late answer could still come through its link."""
    settled: bool = False
    """A person chose its time."""
    refused: datetime | None = None
    """The new due time that had passed already, so that the promised one was kept."""
    generation: int = 0
    """How often a task was begun anew. The newest is the item."""
    row_id: UUID | None = None
    """The row that holds it; None for one to be made."""
    version: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it is asked, or about to be."""
        return self.state in OPEN


class CoverKind(StrEnum):
    """The kinds of people's work that owns what the machine cannot do."""

    CATCH_UP = "catch-up-call"
    TELEPHONE = "call-for-dead-link"
    OVERDUE = "overdue-call"
    """Raised by silence, never by the comparison; whoever makes it has spoken to the patient as well."""
    DUE_REVIEW = "due-time-review"
    CALLED_OFF = "called-off-review"


TASK_KIND_OF = {
    CoverKind.CATCH_UP: "catch-up-call",
    CoverKind.TELEPHONE: "staff-check-in",
    CoverKind.OVERDUE: "check-in-overdue-call",
    CoverKind.DUE_REVIEW: "due-time-review",
    CoverKind.CALLED_OFF: "cancellation-review",
}
"""The kinds of tasks in the queue."""

UNTOLD = datetime.min.replace(tzinfo=UTC)
"""A due time that was refused by a release that did not keep which one."""
PAST_DUE = "past-due-at-entry"
"""Why something was never asked: its due time had passed when it was heard of. A call makes up for it."""

CALLS = frozenset({CoverKind.CATCH_UP, CoverKind.TELEPHONE, CoverKind.OVERDUE})


@dataclass(frozen=True, slots=True)
class Cover:
    """People's work that stands for items. One that fell covers nothing; one that is done does: somebody has seen to it."""

    kind: CoverKind
    number: int
    covers: frozenset[Key]
    reason: str
    open: bool = True
    done: bool = False
    due_at: datetime | None = None
    """None where it is due so long after it was made, as the protocol says."""
    row_id: UUID | None = None
    version: int = 0
    lists_more: bool = False
    """It lists items besides these that were not read."""

    @property
    def stands(self) -> bool:
        """Whether somebody sees, or has seen, to what it lists."""
        return self.open or self.done


@dataclass(frozen=True, slots=True)
class Items:
    """All that exists for one patient, over the same anchors as the facts: one read without its items looks as if never followed."""

    stored: Mapping[Key, Stored] = field(default_factory=dict)
    covers: tuple[Cover, ...] = ()
