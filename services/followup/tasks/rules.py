"""What can become of a care task: its states, who may work on it, how long it may wait. Values in, values out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from services.followup.tasks.policy import HoldLimit, HoldPolicy, KindPolicy, RetryPolicy


class TaskStatus(StrEnum):
    """FHIR R4 Task.status, as far as it is used here. The last three are ends."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    ON_HOLD = "on-hold"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    ENTERED_IN_ERROR = "entered-in-error"


OPEN = frozenset({TaskStatus.REQUESTED, TaskStatus.ACCEPTED, TaskStatus.ON_HOLD})


STEPS: Mapping[TaskStatus, tuple[str, ...]] = {
    TaskStatus.REQUESTED: ("claim", "assign"),
    TaskStatus.ACCEPTED: ("assign", "release", "hold", "complete"),
    TaskStatus.ON_HOLD: ("assign", "release", "resume", "complete"),
}
"""What may be done with a task that has not ended, as the operations are called."""


class BusinessStatus(StrEnum):
    """Where the work stands in time: to be done, past its due time, past its last useful moment, or offered and not chased."""

    TO_DO = "to-do"
    OVERDUE = "overdue"
    MISSED = "missed"
    OFFERED = "offered"


class Priority(StrEnum):
    """FHIR R4 request priority, highest first; in FHIR, asap is more pressing than urgent."""

    STAT = "stat"
    ASAP = "asap"
    URGENT = "urgent"
    ROUTINE = "routine"

    @property
    def rank(self) -> int:
        """0 for the most pressing."""
        return list(Priority).index(self)


class Outcome(StrEnum):
    """How a task ended for the person who did it."""

    REACHED = "reached"
    LEFT_MESSAGE = "left-message"
    NO_ANSWER = "no-answer"
    DECLINED = "declined"
    UNABLE = "unable"
    DONE = "done"


class HoldReason(StrEnum):
    """Why a task waits. Codes only: a sentence here could tell of the patient."""

    WAITING_FOR_PATIENT = "waiting-for-patient"
    WAITING_FOR_CLINICIAN = "waiting-for-clinician"
    WAITING_FOR_RECORD = "waiting-for-record"
    OUTSIDE_HOURS = "outside-hours"


class ReleaseCause(StrEnum):
    """Why who had a task has it no more, without anybody having put it back."""

    OWNER_LEFT = "owner-left"
    ROLE_LOST = "role-lost"


class Unassigned(StrEnum):
    """Why nobody has a task that is open. Where nobody here may do it, that is said, whatever was before."""

    NOBODY_MAY = "nobody-may"
    OWNER_LEFT = "owner-left"
    ROLE_LOST = "role-lost"
    NOT_TAKEN = "not-taken"


class Action(StrEnum):
    """What happened to a task, as its history says it."""

    CREATED = "created"
    CLAIMED = "claimed"
    ASSIGNED = "assigned"
    RELEASED = "released"
    HELD = "held"
    RESUMED = "resumed"
    WOKE = "woke"
    MOVED = "moved"
    DUE_KEPT = "due-kept"
    OFFERED = "offered"
    CHASED = "chased"
    OVERDUE = "overdue"
    MISSED = "missed"
    EXTENDED = "extended"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    OTHER = "other"
    """Written by a later release."""


class CancelledItem(NamedTuple):
    """Something that was called off: what sort of thing, its code, its id; and how a task that listed it before told of it."""

    kind: str
    code: str
    id: UUID
    reason: str | None = None
    ended_at: str | None = None
    """When the infusion ended that it follows."""


@dataclass(frozen=True, slots=True)
class Completion:
    """How a task ended. ``performed_at`` is when the work was really done, where that was earlier."""

    outcome: Outcome
    note: str | None
    performed_at: datetime | None
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not allowed: a stable code, and the allowed range in words."""

    code: str
    allowed: str


def may_work(kind: KindPolicy, roles: Collection[str]) -> bool:
    """Whether one of these roles may have such a task and complete it."""
    return not kind.roles.isdisjoint(roles)


def unassigned_because(kind: str, released_because: str | None, takeable: Collection[str]) -> Unassigned:
    """Why nobody has an open task of this kind; ``takeable`` are the kinds that somebody here may do."""
    if kind not in takeable:
        return Unassigned.NOBODY_MAY
    return Unassigned(released_because) if released_because in frozenset[str](ReleaseCause) else Unassigned.NOT_TAKEN


@dataclass(frozen=True, slots=True)
class Clocks:
    """What a task must be back for: the end of its window, and the beginning of the day of the patient's next infusion."""

    window: datetime | None = None
    next_infusion: datetime | None = None

    def earliest(self, limit: HoldLimit) -> datetime | None:
        """The first of those that this limit is ahead of."""
        of_name = {"window": self.window, "next-infusion": self.next_infusion}
        return min((at for name, at in of_name.items() if at is not None and name in limit.ahead_of), default=None)


def window_of(*, opens_at: datetime | None, due_at: datetime, expires_at: datetime | None, now: datetime) -> datetime | None:
    """The end of a task's window: its due time while that lies ahead, then its last useful moment. Work without a window has none."""
    if opens_at is None:
        return expires_at
    return due_at if due_at >= now else expires_at


_NO_CLOCKS = Clocks()


def hold_refusal(
    limit: HoldLimit,
    policy: HoldPolicy,
    *,
    priority: Priority,
    held_seconds: int,
    now: datetime,
    until: datetime,
    clocks: Clocks = _NO_CLOCKS,
) -> Refusal | None:
    """Why a task may not be put on hold until then, or None. The limit counts all holds of one task together."""
    if priority not in policy.priorities:
        return Refusal("hold-not-allowed", policy.in_words)
    if until <= now:
        return Refusal("hold-not-ahead", "a time to come")
    if until - now + timedelta(seconds=held_seconds) > limit.at_most:
        return Refusal("hold-too-long", limit.in_words)
    back = clocks.earliest(limit)
    if back is not None and until > back:
        return Refusal("hold-too-long", f"at most until {back.isoformat()}: its window ends, or the day of the next infusion begins")
    return None


def retry_refusal(kind: KindPolicy, policy: RetryPolicy, outcome: Outcome, *, now: datetime, retry_at: datetime | None) -> Refusal | None:
    """Why this outcome may not come with, or without, a time for the next attempt, or None."""
    if retry_at is None:
        needed = outcome == Outcome.NO_ANSWER or (outcome == Outcome.LEFT_MESSAGE and kind.until_spoken)
        return Refusal("retry-required", "a time for the next attempt") if needed else None
    if outcome not in (Outcome.NO_ANSWER, Outcome.LEFT_MESSAGE):
        return Refusal("retry-not-applicable", "only where nobody was spoken to")
    if not now < retry_at <= now + policy.within:
        return Refusal("retry-out-of-range", f"a time to come, at most {policy.within_days} days ahead")
    return None


def performed_refusal(
    outcome: Outcome, *, performed_at: datetime | None, now: datetime, created_at: datetime, opens_at: datetime | None
) -> Refusal | None:
    """Why the work cannot have been done then, or None.

    Work with a window is done once that is open, and perhaps before its task was made, of an infusion entered late.
    """
    if performed_at is not None and performed_at > now:
        return Refusal("time-out-of-range", "until now")
    if opens_at is not None and outcome in (Outcome.DONE, Outcome.REACHED):
        return Refusal("too-early", "not before the task's window opens") if (performed_at or now) < opens_at else None
    if performed_at is not None and performed_at < created_at:
        return Refusal("time-out-of-range", "from the making of the task until now")
    return None


def just_after(limit: datetime) -> datetime:
    """The first moment that is past a limit: the limit itself is still inside."""
    return limit + timedelta(microseconds=1)
