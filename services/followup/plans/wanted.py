"""What should exist for a patient, as the facts want it. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class Key(NamedTuple):
    """What an item is, for ever: what it hangs on, its code, and its number. Never who asks, nor how often it was begun anew."""

    anchor_id: UUID
    code: str
    number: int = 0


class State(StrEnum):
    """Where an item stands. The facts want the first and the last three; the others come with time and with people."""

    PLANNED = "planned"
    ASKED = "asked"
    DONE = "done"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    NOT_ASKED = "not-asked"


OPEN = frozenset({State.PLANNED, State.ASKED})
ENDED_BY_THE_MACHINE = frozenset({State.SUPERSEDED, State.CANCELLED, State.NOT_ASKED})


class Times(NamedTuple):
    """When an item opens, is due and expires. A task without a window has no opening; work without a last day no expiry."""

    opens_at: datetime | None
    due_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Why:
    """Why an item is there: the entry of which protocol, on what it hangs, and from which moment its times count."""

    protocol: tuple[str, int]
    anchor: str
    counts_from: datetime
    infusion_id: UUID | None = None
    """The infusion that it is about; None for what follows a course."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An item as the facts want it. ``state`` is PLANNED for what is to be open, else how it is to have ended, and ``reason`` why."""

    key: Key
    is_task: bool
    by: str
    """Who does it: the patient, or a role."""
    priority: str
    times: Times
    why: Why
    state: State = State.PLANNED
    reason: str | None = None
    gives_way_to: UUID | None = None
    """The infusion to which it gives way."""
    offered: bool = False
    """Offered to the patient and not chased."""
    counts_from_making: bool = False
    """Its times count from when it was made, and so never move."""
    called_about_when_late: bool = True
    """Whether somebody calls about it when it cannot be asked any more. Otherwise it is not made at all."""
    in_place_of_link: bool = False
    """A person asks what otherwise the patient is sent."""
    made_when_it_opens: bool = False
    """One of a series. It is named ahead, so that it moves with the day from which it counts, and made when it opens."""

    @property
    def is_open(self) -> bool:
        """Whether it is to be asked."""
        return self.state is State.PLANNED


class Hanging(NamedTuple):
    """All items of one code that hang on one anchor."""

    anchor_id: UUID
    code: str


@dataclass(frozen=True, slots=True)
class CoverTerms:
    """How the machine's calls or reviews of one kind are made for this patient, or why none of them may be open."""

    priority: str
    due_at: datetime | None
    """None: due with what it covers."""
    ends_because: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that should exist for a patient. What it does not name is left alone."""

    wanted: Mapping[Key, Wanted] = field(default_factory=dict)
    gone: Mapping[Hanging, str] = field(default_factory=dict)
    """Why nothing more of a code hangs on an anchor."""
    covers: Mapping[str, CoverTerms] = field(default_factory=dict)
    pins: Mapping[UUID, tuple[str, int]] = field(default_factory=dict)
    """The protocol of each anchor that is followed."""
    wake: datetime | None = None
    """When time alone changes the plan."""

    def ended(self, key: Key) -> str | None:
        """Why an item that is not named has ended; None where it is left alone."""
        return self.gone.get(Hanging(key.anchor_id, key.code))
