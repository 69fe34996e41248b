"""From what the rules say to the tasks and check-ins that are written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import commands as check_ins
from services.followup.checkins.commands import NewCheckIn
from services.followup.checkins.models import CheckInStatus
from services.followup.plans.slots import CheckInSlot, FollowUp, Item, Kind, TaskSlot, Told
from services.followup.reasons import moment
from services.followup.tasks import commands as tasks
from services.followup.tasks import joining
from services.followup.tasks.commands import NewTask, TaskTimes
from services.followup.tasks.rules import BusinessStatus, CancelledItem, Priority, TaskStatus
from shared.events.sessions import InfusionEvent

_COVERING = frozenset({Kind.CATCH_UP, Kind.CANCELLATION_REVIEW})
"""Tasks that list in their details what they stand for."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Whom and what new work is about, and the event that asked for it."""

    patient_id: UUID
    patient_number: str
    focus_kind: str
    focus_id: UUID
    infusion_id: UUID | None = None
    plan_id: UUID | None = None
    caused_by: UUID | None = None

    @classmethod
    def of(cls, told: Told, plan_id: UUID | None) -> "Whose":
        """About one infusion."""
        infusion_id = told.infusion.infusion_id
        return cls(told.patient_id, told.patient_number, "Infusion", infusion_id, infusion_id, plan_id, told.event_id)

    @classmethod
    def of_event(cls, event: InfusionEvent, event_id: UUID) -> "Whose":
        """About an infusion that has no plan."""
        return cls(event.patient_id, event.patient_number, "Infusion", event.infusion_id, event.infusion_id, None, event_id)


async def make(db: AsyncSession, sets: Iterable[tuple[Told, UUID | None, FollowUp]], now: datetime) -> None:
    """Write the follow-up of any number of infusions: four statements, and two more where something was missed."""
    new_tasks: list[NewTask] = []
    new_check_ins: list[NewCheckIn] = []
    for told, plan_id, follow_up in sets:
        asked = [new_check_in(told, plan_id, item) for item in follow_up.check_ins]
        work = [new_task(Whose.of(told, plan_id), item, now) for item in follow_up.tasks]
        stood_for = {"items": [*map(_listed_check_in, asked), *map(_listed_task, work)]}
        ended_at = moment(told.infusion.pump_ended_at)
        stood_for["items"] = [{**entry, "ended_at": ended_at} for entry in stood_for["items"] if entry["reason"]]
        new_tasks += [replace(task, details=stood_for) if task.kind in _COVERING else task for task in work]
        new_check_ins += asked
    # Asked here as well, so that what is heard of in time, the counted way, does not pass through that file at all.
    if any(task.kind == joining.CATCH_UP for task in new_tasks):
        await joining.add(db, new_tasks, now)
    else:
        await tasks.add(db, new_tasks)
    await check_ins.request(db, new_check_ins)


def new_task(whose: Whose, item: Item[TaskSlot], now: datetime, *, details: Mapping[str, object] | None = None) -> NewTask:
    """A task as the rules want it."""
    slot = item.slot
    return NewTask(
        kind=slot.kind.value,
        focus_kind=whose.focus_kind,
        focus_id=whose.focus_id,
        ordinal=slot.ordinal,
        patient_id=whose.patient_id,
        patient_number=whose.patient_number,
        plan_id=whose.plan_id,
        infusion_id=whose.infusion_id,
        priority=Priority(slot.priority),
        reason=slot.reason,
        window_starts_at=slot.window_starts_at,
        due_at=slot.due_at,
        expires_at=slot.expires_at,
        suggested_owner_id=slot.suggested_owner_id,
        status=TaskStatus.CANCELLED if item.cancelled_because else TaskStatus.REQUESTED,
        status_reason=item.cancelled_because,
        business_status=BusinessStatus.OFFERED if item.offered else BusinessStatus.TO_DO,
        details=details or ({"code": slot.stands_in_for} if slot.stands_in_for else {}),
        created_at=now,
        caused_by=whose.caused_by,
    )


def new_check_in(told: Told, plan_id: UUID | None, item: Item[CheckInSlot]) -> NewCheckIn:
    """A check-in as the rules want it."""
    slot = item.slot
    return NewCheckIn(
        check_in_id=uuid4(),
        plan_id=plan_id,
        patient_id=told.patient_id,
        patient_number=told.patient_number,
        patient_time_zone=told.infusion.zone.key,
        infusion_id=told.infusion.infusion_id,
        course_id=told.course_id,
        code=slot.code,
        ordinal=slot.ordinal,
        opens_at=slot.opens_at,
        due_at=slot.due_at,
        expires_at=slot.expires_at,
        status=CheckInStatus.CANCELLED if item.cancelled_because else CheckInStatus.PLANNED,
        ended_reason=item.cancelled_because,
    )


def times_of(slot: TaskSlot) -> TaskTimes:
    """The times of a task after a correction."""
    return TaskTimes(
        slot.kind.value, slot.ordinal, slot.reason, slot.window_starts_at, slot.due_at, slot.expires_at, slot.suggested_owner_id
    )


def listed(cancelled: Sequence[CancelledItem], reason: str) -> dict[str, object]:
    """What was called off, as the details of the task that lists it; what was listed before keeps its own reason."""
    return {"items": [_listed(item, reason) for item in cancelled]}


def _listed(item: CancelledItem, reason: str) -> dict[str, str]:
    entry = {"kind": item.kind, "code": item.code, "id": str(item.id), "reason": item.reason or reason}
    return entry if item.ended_at is None else {**entry, "ended_at": item.ended_at}


def _listed_check_in(new: NewCheckIn) -> dict[str, str | None]:
    return {"kind": "check-in", "code": new.code, "id": str(new.check_in_id), "reason": new.ended_reason}


def _listed_task(new: NewTask) -> dict[str, str | None]:
    return {"kind": "task", "code": new.kind, "id": str(new.task_id), "reason": new.status_reason}
