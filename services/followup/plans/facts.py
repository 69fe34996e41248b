"""What is known of one patient, in the form that the plan is worked out from. Newest versions only; nothing tells the order of arrival."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from services.followup.plans.wanted import Key

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_AFTER_ALL = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A time from ``since`` up to, but not including, ``until``. None is open."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether this moment lies inside."""
        return (self.since or _BEFORE_ALL) <= at < (self.until or _AFTER_ALL)


class Cause(StrEnum):
    """Why a patient is not followed up any more. The first of several that hold is the one that counts."""

    DEATH = "death"
    TRANSFER = "transfer"
    WITHDRAWAL = "withdrawal"
    CONSENT_REVOKED = "consent-revoked"


RANK = tuple(Cause)


@dataclass(frozen=True, slots=True)
class Absence:
    """A time during which a patient is, or truly was, not followed up. What was recorded by mistake and corrected is none."""

    cause: Cause
    span: Span
    number: int = 0
    """Which departure it is: the version of what told of it. With the patient it names what hangs on the departure."""


@dataclass(frozen=True, slots=True)
class Course:
    """A course of infusions, with the times in which it ran. On hold it runs."""

    course_id: UUID
    runs: tuple[Span, ...] = (Span(),)
    maintenance_since: datetime | None = None
    sessions_needed: int | None = None
    """How many integration sessions have to be done; None: all."""
    protocol: tuple[str, int] = ("default", 1)
    """What the course asks for. What hangs on an anchor keeps the protocol that was pinned to it."""

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; None while it runs."""
        return self.runs[-1].until


class Outcome(StrEnum):
    """How an infusion that was started ended."""

    COMPLETED = "completed"
    STOPPED_EARLY = "stopped-early"
    LEFT_AGAINST_ADVICE = "left-against-advice"
    TRANSFERRED = "transferred"


class VisitState(StrEnum):
    """Where a visit stands."""

    BOOKED = "booked"
    STARTED = "started"
    ENDED = "ended"
    MISSED = "missed"
    """Not done, cancelled, or the patient did not come."""
    VOID = "void"
    """Its record was declared entered in error."""
    DUPLICATE = "duplicate"
    """Its record is held until somebody has decided whether it is another one's double."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit for an infusion, whatever became of it."""

    infusion_id: UUID
    course_id: UUID
    state: VisitState
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    pump_ended_at: datetime | None = None
    discharged_at: datetime | None = None
    outcome: Outcome | None = None
    drug_given: bool | None = None
    """None as long as nothing has been told of it."""
    followed: bool = True
    """Whether what hangs on it is compared. Of the others only what the followed ones look at is known: neighbours, firsts and lasts."""
    missed_as: str | None = None
    """How it fell out: not-done, no-show or cancelled."""

    @property
    def gave_drug(self) -> bool:
        """Whether check-ins and an integration session follow it."""
        return self.state is VisitState.ENDED and self.drug_given is True and self.pump_ended_at is not None

    @property
    def takes_over(self) -> bool:
        """Whether an earlier infusion's check-in may give way to it: it was started, and is not known to have given nothing."""
        return self.state in (VisitState.STARTED, VisitState.ENDED) and self.started_at is not None and self.drug_given is not False


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the plan of one patient is worked out from."""

    patient_id: UUID
    zone: ZoneInfo
    """Where the patient lives."""
    clinic_zone: ZoneInfo
    """Where business days are counted."""
    messages_allowed: bool = True
    absences: tuple[Absence, ...] = ()
    """The times without follow-up that are, or truly were, by what is known now."""
    courses: tuple[Course, ...] = ()
    visits: tuple[Visit, ...] = ()
    done: frozenset[Key] = frozenset()
    """Items that are answered or done."""

    def present_absences(self) -> tuple[Absence, ...]:
        """The times without follow-up that have not ended, what counts most first."""
        open_ended = [one for one in self.absences if one.span.until is None]
        return tuple(sorted(open_ended, key=lambda one: RANK.index(one.cause)))

    @property
    def returned(self) -> datetime | None:
        """When follow-up was last allowed again."""
        return max((one.span.until for one in self.absences if one.span.until), default=None)
