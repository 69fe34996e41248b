"""A protocol as a list of entries, one for each thing that is asked of a patient or a person. Data that a clinic owns, never a constant."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import time, timedelta
from itertools import count
from typing import Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.followup.plans.facts import Cause, Outcome
from services.followup.plans.stored import TASK_KIND_OF, CoverKind

PriorityCode = Literal["stat", "asap", "urgent", "routine"]
PRIORITIES = ("stat", "asap", "urgent", "routine")
"""The most urgent first."""
Role = Literal["patient", "therapist", "nurse", "clinician", "coordinator", "staff"]
AnchorName = Literal[
    "infusion-end", "visit-end", "visit-booked", "visit-without-drug", "course-day-0", "course-end", "maintenance-start", "departure"
]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Night(_Data):
    """Times of day between which nothing opens; the first belongs to the night, the last does not."""

    begins: time = Field(alias="from")
    ends: time = Field(alias="until")


class When(_Data):
    """A time, counted from the item's anchor or from what ``from`` names. Hours elapse; days, months and ``at`` are on the wall clock."""

    counts_from: Literal["anchor", "opens", "due", "made", "discharged", "next-infusion"] = Field("anchor", alias="from")
    minutes: int = 0
    hours: int = 0
    days: int = 0
    months: int = 0
    business_days: int = 0
    opening: time | None = None
    """With business days: a weekend counts as the next opening of the clinic."""
    at: time | None = None
    latest: tuple["When", ...] = ()
    earliest: tuple["When", ...] = ()
    not_at_night: Night | None = None
    source: str | None = None

    @model_validator(mode="after")
    def _is_one_time(self) -> Self:
        counted = bool(self.minutes or self.hours or self.days or self.months or self.business_days or self.at)
        said = [counted or self.counts_from != "anchor", bool(self.latest), bool(self.earliest)]
        if said.count(True) != 1:
            raise ValueError("a time is one of: an offset, latest of several, earliest of several")
        if (self.opening is None) != (self.business_days == 0):
            raise ValueError("business_days and opening go together")
        return self

    def parts(self) -> Iterator["When"]:
        """This time and all that it is combined from."""
        yield self
        for part in (*self.latest, *self.earliest):
            yield from part.parts()


class Condition(_Data):
    """What has to hold of the infusion, of its course, or of the rest of the plan."""

    outcome: frozenset[Outcome] = frozenset()
    maintenance: bool | None = None
    stands: frozenset[str] = frozenset()
    """Codes of which one is still asked of the patient about the same infusion."""


class Repeat(_Data):
    """Again every so many days without an end, or on each of these days."""

    days: int | tuple[int, ...]
    while_: Literal["course-runs"] | None = Field(None, alias="while")
    source: str | None = None

    @model_validator(mode="after")
    def _ends_or_depends(self) -> Self:
        if isinstance(self.days, int) and (self.days < 1 or self.while_ is None):
            raise ValueError("what repeats without an end needs at least a day between, and a while")
        return self

    def each_day(self) -> Iterable[int]:
        """The days, counted from the anchor's."""
        return self.days if isinstance(self.days, tuple) else count(self.days, self.days)


class GivesWay(_Data):
    """What is asked instead. ``before`` is for the next infusion, ``on`` for another code."""

    to: str
    before: Literal["opens", "due", "expires"] | None = None
    on: Literal["same-day"] | None = None
    unless: Condition | None = None

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if (self.before is None) == (self.on is None) or (self.to == "next-infusion") != (self.before is not None):
            raise ValueError("to next-infusion goes with before, to another code goes with on")
        return self


class ByStaff(_Data):
    """When a person asks by telephone what otherwise the patient is sent."""

    outcome: frozenset[Outcome] = frozenset()
    messages: Literal["off"] | None = None
    priority: PriorityCode


class Entry(_Data):
    """One thing that is asked."""

    code: str
    does: Literal["check-in", "task"]
    by: Role
    anchor: AnchorName
    form: str | None = None
    priority: PriorityCode = "routine"
    repeat: Repeat | None = None
    opens: When | None = None
    due: When
    expires: When | None = None
    gives_way: GivesWay | None = None
    when: Condition | None = None
    unless: Condition | None = None
    stays_after: frozenset[Cause] = frozenset()
    offered_after: frozenset[Cause] = frozenset()
    late: Literal["call", "drop"] = "call"
    enough: Literal["sessions-of-course"] | None = None
    by_staff_if: ByStaff | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.does == "check-in") != (self.by == "patient") or (self.does == "check-in") != (self.form is not None):
            raise ValueError("a check-in is by the patient and has a form, a task is by somebody else and has none")
        if self.does == "check-in" and (self.opens is None or self.expires is None):
            raise ValueError("a check-in opens and expires")
        if self.repeat and self.opens is None:
            raise ValueError("what repeats opens")
        unsourced = [name for name, one in (("opens", self.opens), ("due", self.due), ("expires", self.expires)) if one and not one.source]
        if unsourced:
            raise ValueError(f"without a source: {', '.join(unsourced)}")
        return self

    @property
    def counts_from_making(self) -> bool:
        """Whether its times count from when it is made, and so never move."""
        return any(part.counts_from == "made" for part in self.due.parts())


class CoverEntry(_Data):
    """How the machine's own calls and reviews are made. Without ``due`` it is due with what it covers."""

    priority: PriorityCode
    due: When | None = None
    stays_after: frozenset[Cause] = frozenset()


class ProtocolList(_Data):
    """One version of one protocol."""

    code: str
    version: int
    stands_for: tuple[int, ...] = ()
    """Earlier versions that asked the same in another form of file, and are followed by this one."""
    status: str
    items: tuple[Entry, ...]
    covers: dict[CoverKind, CoverEntry]

    @model_validator(mode="after")
    def _says_when_its_own_work_is_due(self) -> Self:
        timeless = {kind for kind, cover in self.covers.items() if cover.due is None} - {CoverKind.TELEPHONE, CoverKind.OVERDUE}
        if timeless:
            raise ValueError(f"without a due time: {', '.join(sorted(timeless))}")
        return self

    @property
    def name(self) -> tuple[str, int]:
        """Code and version, which an anchor keeps for ever."""
        return self.code, self.version

    @property
    def follows_for(self) -> timedelta:
        """For how long at most something is asked after an infusion, counted from its end; without what nights add."""
        ends = (part for item in self.items if item.anchor == "infusion-end" and item.expires for part in item.expires.parts())
        return max(timedelta(days=part.days, hours=part.hours) for part in ends)

    def leaving_open(self, kept: Mapping[str, frozenset[Cause]]) -> Self:
        """The same, where tasks of these kinds stay open after other causes than it says."""
        items = tuple(_staying(entry, kept.get(entry.code)) if entry.does == "task" else entry for entry in self.items)
        covers = {kind: _staying(cover, kept.get(TASK_KIND_OF[kind])) for kind, cover in self.covers.items()}
        return self.model_copy(update={"items": items, "covers": covers})


_Staying = TypeVar("_Staying", Entry, CoverEntry)


def _staying(entry: _Staying, causes: frozenset[Cause] | None) -> _Staying:
    return entry if causes is None else entry.model_copy(update={"stays_after": causes})
