"""Care tasks and their history. A transition checks the state, changes the task and returns the history row that tells of it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Column, ColumnElement, ForeignKeyConstraint, Index, UniqueConstraint, and_, literal_column, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.followup.reasons import Reason, ReasonCode
from services.followup.tables import Table, code_column, known_code_column
from services.followup.tasks.rules import OPEN, STEPS, Action, BusinessStatus, HoldReason, Outcome, Priority, TaskStatus
from shared.db import utc_column
from shared.errors import Conflict

MACHINE = "Service/followup"
"""The actor of what follows from an event or from time; the history names the event where there was one."""

WHERE_OPEN = "status IN ('requested', 'accepted', 'on-hold')"
IS_OPEN = literal_column(WHERE_OPEN, Boolean)
IS_REQUESTED = literal_column("status = 'requested'", Boolean)
IS_ACCEPTED = literal_column("status = 'accepted'", Boolean)
IS_ON_HOLD = literal_column("status = 'on-hold'", Boolean)
IS_DONE = literal_column("status = 'completed'", Boolean)
IS_CANCELLED = literal_column("status IN ('cancelled', 'entered-in-error')", Boolean)
IS_OFFERED = literal_column("business_status = 'offered'", Boolean)
HAS_OWNER = literal_column("owner_id IS NOT NULL", Boolean)
HAS_NO_OWNER = literal_column("owner_id IS NULL", Boolean)
"""Conditions of the views, as literals: the same words in an index and in a query, so that PostgreSQL sees that they are the same."""


_ASKED_OF_ENDED = {
    "owner": "owner_id changed_at",
    "kind": "kind changed_at",
    "priority": "priority_rank due_at",
    "due": "due_at",
    "age": "created_at",
}


def _of_ended(view: str, condition: ColumnElement[bool]) -> Iterator[Index]:
    """What else is asked of a view of ended tasks; each task that ends comes into one view's."""
    for name, columns in _ASKED_OF_ENDED.items():
        yield Index(f"ix_care_task_{view}_by_{name}", "clinic_id", *columns.split(), "task_id", postgresql_where=condition)


class CareTask(Table, table=True):
    """One piece of work for a person. Its natural key (focus, kind, ordinal, attempt) is used once for ever, whatever becomes of it."""

    __tablename__ = "care_task"
    __table_args__ = (
        UniqueConstraint("clinic_id", "focus_id", "kind", "ordinal", "attempt", name="uq_care_task_natural_key"),
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patient.clinic_id", "patient.patient_id"]),
        ForeignKeyConstraint(["clinic_id", "plan_id"], ["plan.clinic_id", "plan.plan_id"]),
        # The views of the queue, each in the order of its pages; an index holds the rows of its view and no others.
        Index("ix_care_task_open_by_due", "clinic_id", "due_at", "task_id", postgresql_where=IS_OPEN),
        Index("ix_care_task_open_by_priority", "clinic_id", "priority_rank", "due_at", "task_id", postgresql_where=IS_OPEN),
        Index("ix_care_task_open_by_age", "clinic_id", "created_at", "task_id", postgresql_where=IS_OPEN),
        Index("ix_care_task_open_by_kind", "clinic_id", "kind", "due_at", "task_id", postgresql_where=IS_OPEN),
        Index("ix_care_task_unassigned", "clinic_id", "due_at", "task_id", postgresql_where=IS_REQUESTED),
        Index("ix_care_task_mine", "clinic_id", "owner_id", "due_at", "task_id", postgresql_where=IS_ACCEPTED),
        Index("ix_care_task_on_hold", "clinic_id", "due_at", "task_id", postgresql_where=IS_ON_HOLD),
        Index("ix_care_task_done", "clinic_id", "changed_at", "task_id", postgresql_where=IS_DONE),
        Index("ix_care_task_cancelled", "clinic_id", "changed_at", "task_id", postgresql_where=IS_CANCELLED),
        Index("ix_care_task_patient", "clinic_id", "patient_id", "due_at", "task_id"),
        # What is looked for with each event must not grow with all that a patient ever had.
        Index("ix_care_task_open_of_patient", "clinic_id", "patient_id", "kind", postgresql_where=IS_OPEN),
        Index("ix_care_task_infusion", "clinic_id", "infusion_id"),
        # Whether a patient has such an offer is asked for each event about somebody who has left.
        Index(
            "ix_care_task_safety_offer", "clinic_id", "patient_id", postgresql_where=text(f"kind = 'safety-offer-call' AND {WHERE_OPEN}")
        ),
        # The same views in the order in which their work presses: the overdue of one level after the other.
        Index("ix_care_task_unassigned_by_priority", "clinic_id", "priority_rank", "due_at", "task_id", postgresql_where=IS_REQUESTED),
        Index("ix_care_task_mine_by_priority", "clinic_id", "owner_id", "priority_rank", "due_at", "task_id", postgresql_where=IS_ACCEPTED),
        Index("ix_care_task_on_hold_by_priority", "clinic_id", "priority_rank", "due_at", "task_id", postgresql_where=IS_ON_HOLD),
        Index("ix_care_task_kind_by_priority", "clinic_id", "kind", "priority_rank", "due_at", "task_id", postgresql_where=IS_OPEN),
        Index(
            "ix_care_task_owner_by_priority",
            *("clinic_id", "owner_id", "priority_rank", "due_at", "task_id"),
            postgresql_where=and_(HAS_OWNER, IS_OPEN),
        ),
        # What else may be asked of a view; without them it would be looked for through the whole view.
        Index("ix_care_task_offered", "clinic_id", "due_at", "task_id", postgresql_where=and_(IS_OFFERED, IS_OPEN)),
        Index("ix_care_task_open_by_owner", "clinic_id", "owner_id", "due_at", "task_id", postgresql_where=and_(HAS_OWNER, IS_OPEN)),
        # What nobody has, on hold or not. The two that hold what is requested are the version before's, and go one release later.
        Index("ix_care_task_unowned", "clinic_id", "due_at", "task_id", postgresql_where=and_(HAS_NO_OWNER, IS_OPEN)),
        Index(
            "ix_care_task_unowned_by_priority",
            *("clinic_id", "priority_rank", "due_at", "task_id"),
            postgresql_where=and_(HAS_NO_OWNER, IS_OPEN),
        ),
        *_of_ended("done", IS_DONE),
        *_of_ended("cancelled", IS_CANCELLED),
    )

    clinic_id: UUID = Field(primary_key=True)
    task_id: UUID = Field(primary_key=True)
    version: int
    kind: str
    focus_kind: str
    """What the work is about: Infusion, CheckIn, Patient, Consent or CarePlan."""
    focus_id: UUID
    ordinal: int
    attempt: int
    """From 1; another attempt after one without an answer is a task of its own."""
    plan_id: UUID | None
    infusion_id: UUID | None
    patient_id: UUID
    patient_number: str
    status: TaskStatus = Field(sa_column=code_column(TaskStatus))
    business_status: BusinessStatus = Field(sa_column=code_column(BusinessStatus))
    status_reason: str | None
    """A code: why it is on hold or was cancelled."""
    priority: Priority = Field(sa_column=code_column(Priority))
    priority_rank: int
    why: str
    """For the version before, which knows no reasons; nothing here reads it."""
    reason: str | None
    """A ``ReasonCode``; None where the version before wrote the task."""
    facts: dict[str, Any] | None = Field(sa_column=Column(JSONB, nullable=True))  # Any: JSON of our own making
    """What the reason is told with."""
    details: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))  # Any: JSON
    window_starts_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    due_at: datetime = Field(sa_column=utc_column())
    expires_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    due_kept: bool
    """A correction would have moved the due time into the past, so the old one was kept."""
    suggested_owner_id: UUID | None
    """Whom the course's care team named for this kind of work; it counts as long as followup was told of no care team."""
    owner_id: UUID | None
    released_because: str | None = None
    """A ``ReleaseCause``: why who had it lost it. It counts as long as nobody has it again."""
    held_since: datetime | None = Field(sa_column=utc_column(nullable=True))
    held_until: datetime | None = Field(sa_column=utc_column(nullable=True))
    held_seconds: int
    """How long it has been on hold in all, without the present hold."""
    outcome: Outcome | None = Field(sa_column=code_column(Outcome, nullable=True))
    note: str | None
    """What a person wrote when completing it. It may tell of the patient, so only clinical roles read it."""
    performed_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    created_at: datetime = Field(sa_column=utc_column())
    changed_at: datetime = Field(sa_column=utc_column())
    closed_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    anchor_id: UUID | None = None
    """What it hangs on, with its code and number there, where it follows from a protocol; None where the version before wrote it."""
    code: str | None = None
    number: int | None = None
    generation: int | None = None
    """How often it was begun anew."""
    refused_due_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    superseded_by: UUID | None = None

    @property
    def because(self) -> Reason:
        """Why it is there. A code that only a later release knows reads as one from before there were codes."""
        known = frozenset[str](ReasonCode)
        return Reason(ReasonCode(self.reason) if self.reason in known else ReasonCode.OLDER, self.facts or {})

    @property
    def allowed(self) -> tuple[str, ...]:
        """What may be done with it. What waits on hold and has no owner any more may be taken at once."""
        return STEPS.get(TaskStatus.REQUESTED if self.unassigned else self.status, ())

    @property
    def unassigned(self) -> bool:
        """Whether it is open and nobody has it."""
        return self.status in OPEN and self.owner_id is None

    def assign(self, owner_id: UUID, now: datetime, actor: str) -> "TaskHistory":
        """Give it to somebody, whoever has it; a hold ends."""
        self._require("assign")
        self._end_hold(now)
        self.status, self.owner_id, self.released_because = TaskStatus.ACCEPTED, owner_id, None
        return self._changed(Action.ASSIGNED, now, actor)

    def release(self, now: datetime, actor: str) -> "TaskHistory":
        """Put it back for everybody."""
        self._require("release")
        self._end_hold(now)
        self.status, self.owner_id = TaskStatus.REQUESTED, None
        return self._changed(Action.RELEASED, now, actor)

    def hold(self, until: datetime, reason: HoldReason, now: datetime, actor: str) -> "TaskHistory":
        """Let it wait. Whether it may is decided before, by the rules."""
        self._require("hold")
        self.status, self.status_reason, self.held_since, self.held_until = TaskStatus.ON_HOLD, reason.value, now, until
        return self._changed(Action.HELD, now, actor, until=until.isoformat(), reason=reason.value)

    def resume(self, now: datetime, actor: str) -> "TaskHistory":
        """End the hold; its owner keeps it."""
        self._require("resume")
        self._end_hold(now)
        self.status = TaskStatus.ACCEPTED
        return self._changed(Action.RESUMED, now, actor)

    def complete(self, outcome: Outcome, note: str | None, performed_at: datetime, now: datetime, actor: str) -> "TaskHistory":
        """The work is done, or will not be."""
        self._require("complete")
        self._end_hold(now)
        self.status, self.outcome, self.note, self.performed_at, self.closed_at = TaskStatus.COMPLETED, outcome, note, performed_at, now
        return self._changed(Action.COMPLETED, now, actor, outcome=outcome.value, performed_at=performed_at.isoformat())

    def is_overdue(self, now: datetime) -> bool:
        """Whether it is open and chased and past its due time, whatever its timer has said yet."""
        return self.status in OPEN and self.business_status is not BusinessStatus.OFFERED and self.due_at < now

    def refusal(self, code: str, detail: str) -> Conflict:
        """A 409 that says where the task stands, what may be done with it, and who has it."""
        owner_id = str(self.owner_id) if self.owner_id else None
        return Conflict(code, detail, extra={"state": self.status.value, "allowed": list(self.allowed), "owner_id": owner_id})

    def _require(self, step: str) -> None:
        if step not in self.allowed:
            raise self.refusal("state", "The task's state does not allow this.")

    def _end_hold(self, now: datetime) -> None:
        if self.held_since is not None:
            self.held_seconds += max(0, int((now - self.held_since).total_seconds()))
        self.status_reason, self.held_since, self.held_until = None, None, None

    def _changed(self, action: Action, now: datetime, actor: str, **details: object) -> "TaskHistory":
        self.version += 1
        self.changed_at = now
        return TaskHistory(
            clinic_id=self.clinic_id,
            task_id=self.task_id,
            version=self.version,
            action=action,
            changed_at=now,
            actor=actor,
            caused_by=None,
            status=self.status,
            business_status=self.business_status,
            owner_id=self.owner_id,
            due_at=self.due_at,
            details=dict(details),
        )


class TaskHistory(Table, table=True):
    """One change of a care task: what it was, who made it, how the task stood afterwards. Never changed, never removed."""

    __tablename__ = "task_history"
    __table_args__ = (ForeignKeyConstraint(["clinic_id", "task_id"], ["care_task.clinic_id", "care_task.task_id"]),)

    clinic_id: UUID = Field(primary_key=True)
    task_id: UUID = Field(primary_key=True)
    version: int = Field(primary_key=True)
    action: Action = Field(sa_column=known_code_column(Action, Action.OTHER))
    changed_at: datetime = Field(sa_column=utc_column())
    actor: str
    caused_by: UUID | None
    """The event from which the change followed."""
    status: TaskStatus = Field(sa_column=code_column(TaskStatus))
    business_status: BusinessStatus = Field(sa_column=code_column(BusinessStatus))
    owner_id: UUID | None
    due_at: datetime = Field(sa_column=utc_column())
    details: Mapping[str, Any] = Field(sa_column=Column(JSONB, nullable=False))  # Any: JSON


class TaskCover(Table, table=True):
    """An item that a call or a review is about: what it hangs on, its code, its number."""

    __tablename__ = "task_cover"
    __table_args__ = (ForeignKeyConstraint(["clinic_id", "task_id"], ["care_task.clinic_id", "care_task.task_id"]),)

    clinic_id: UUID = Field(primary_key=True)
    task_id: UUID = Field(primary_key=True)
    anchor_id: UUID = Field(primary_key=True)
    code: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
