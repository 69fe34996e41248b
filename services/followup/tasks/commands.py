"""Writing many tasks at once: what follows from events and from time. Each function issues a number of statements that is fixed."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.reasons import Reason, ReasonCode
from services.followup.tables import arrays_of, columns_of
from services.followup.tasks.models import MACHINE
from services.followup.tasks.rules import OPEN, BusinessStatus, CancelledItem, Priority, TaskStatus, just_after
from services.followup.tasks.statements import ADD, CANCEL, GIVEN, HELD, HOLD_LESS
from shared.db import clinic_of
from shared.timers import Timer, arm, disarm

CLOCK, WAKE = "task-clock", "task-wake"
"""Kinds of timers: the due time and then the last useful moment of a task; the end of its hold."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to be made, unless its natural key (focus, kind, ordinal, attempt) was ever used.

    ``reason`` holds codes and facts only. With status cancelled it exists to be listed and counted; ``status_reason`` says why.
    ``caused_by`` is the event that asked for it.
    """

    kind: str
    focus_kind: str
    focus_id: UUID
    patient_id: UUID
    patient_number: str
    priority: Priority
    reason: Reason
    due_at: datetime
    created_at: datetime
    ordinal: int = 0
    attempt: int = 1
    window_starts_at: datetime | None = None
    expires_at: datetime | None = None
    plan_id: UUID | None = None
    infusion_id: UUID | None = None
    owner_id: UUID | None = None
    suggested_owner_id: UUID | None = None
    status: TaskStatus = TaskStatus.REQUESTED
    status_reason: str | None = None
    business_status: BusinessStatus = BusinessStatus.TO_DO
    details: Mapping[str, object] = field(default_factory=dict)
    actor: str = MACHINE
    caused_by: UUID | None = None
    task_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """What a correction makes of a task that is there."""

    kind: str
    ordinal: int
    reason: Reason
    window_starts_at: datetime | None
    due_at: datetime
    expires_at: datetime | None
    suggested_owner_id: UUID | None


async def add(db: AsyncSession, new: Sequence[NewTask]) -> list[UUID]:
    """Make tasks with their first history rows in one statement and arm their timers in another; returns the ids of those made."""
    if not new:
        return []
    rows = arrays_of(GIVEN, [_row_of(task) for task in new])
    made = {row["task_id"] for row in await ADD.rows(db, **rows, clinic_id=clinic_of(db))}
    chased = [task for task in new if task.task_id in made and task.status in OPEN and task.business_status is BusinessStatus.TO_DO]
    await arm(db, *(clock_timer(task.task_id, task.due_at) for task in chased))
    return [task.task_id for task in new if task.task_id in made]


async def cancel_open(
    db: AsyncSession,
    *,
    now: datetime,
    reason: str,
    patient_ids: Sequence[UUID] = (),
    infusion_ids: Sequence[UUID] = (),
    focus_ids: Sequence[UUID] = (),
    kept: Collection[str] = (),
    only: Collection[str] | None = None,
    because: ReasonCode | None = None,
    cause: str | None = None,
    up_to: int | None = None,
    status: TaskStatus = TaskStatus.CANCELLED,
    caused_by: UUID | None = None,
) -> list[CancelledItem]:
    """Call off what is open about these patients, infusions or focuses, but for the kinds ``kept``; returns what was called off.

    With ``only`` just these kinds, with ``because`` just those that are there for this reason, with ``cause`` those that name it, with
    ``up_to`` those with no higher ordinal.
    """
    parameters = {
        "clinic_id": clinic_of(db),
        "patient_ids": list(patient_ids),
        "infusion_ids": list(infusion_ids),
        "focus_ids": list(focus_ids),
        "kept": sorted(kept),
        "only": None if only is None else sorted(only),
        "because": because,
        "cause": cause,
        "up_to": up_to,
        "status": status.value,
        "reason": reason,
        "now": now,
        "actor": MACHINE,
        "caused_by": caused_by,
    }
    cancelled = [CancelledItem("task", row.kind, row.task_id) for row in await db.execute(CANCEL, parameters)]
    await disarm(db, *(key(kind, item.id) for item in cancelled for kind in (CLOCK, WAKE)))
    return cancelled


async def hold_less(db: AsyncSession, booked: Mapping[UUID, tuple[datetime, UUID]], kinds: Collection[str], now: datetime) -> None:
    """Let tasks of these kinds wait no longer than until this time of their patient; with the event that says so."""
    if booked:
        rows = [{"patient_id": patient_id, "until": until, "event_id": event_id} for patient_id, (until, event_id) in booked.items()]
        told = {"clinic_id": clinic_of(db), "kinds": sorted(kinds), "now": now, "actor": MACHINE}
        shortened = await db.execute(HOLD_LESS, {**arrays_of(HELD, rows), **told})
        await arm(db, *(Timer(key(WAKE, row.task_id), WAKE, row.held_until, row.task_id) for row in shortened))


def key(kind: str, task_id: UUID) -> str:
    """The key of a task's timer."""
    return f"{kind}:{task_id}"


def clock_timer(task_id: UUID, limit: datetime) -> Timer:
    """Fires at the first moment past a task's due time, or past its last useful moment."""
    return Timer(key(CLOCK, task_id), CLOCK, just_after(limit), task_id)


def _row_of(task: NewTask) -> dict[str, object]:
    made = {
        **_told(task.reason),
        "priority_rank": task.priority.rank,
        "details": json.dumps(task.details),
        "closed_at": None if task.status in OPEN else task.created_at,
    }
    return _columns_of(GIVEN, task, made)


def _columns_of(types: Mapping[str, str], source: object, made: Mapping[str, object]) -> dict[str, object]:
    return {**columns_of({name: kind for name, kind in types.items() if name not in made}, source), **made}


def _told(reason: Reason) -> dict[str, object]:
    return {"reason": reason.code.value, "facts": json.dumps(reason.facts), "why": reason.for_the_version_before}
