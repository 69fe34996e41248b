"""What time does to check-ins: opened, overdue, somebody's call, expired. Batches of one clinic; what moved on meanwhile is left alone."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from uuid import UUID

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins.commands import CALL, EXPIRE, OVERDUE, locked, timer
from services.followup.checkins.forms import Forms
from services.followup.checkins.models import WAITING, CheckIn, CheckInStatus
from services.followup.checkins.policy import CheckInPolicy, CheckInSetup
from services.followup.checkins.queries import find_zone, lock_patients_of, telephoned
from services.followup.checkins.work import never_asked_task, overdue_task
from services.followup.outreach import commands as outreach
from services.followup.tasks import joining
from shared.events.zones import zone_of
from shared.outbox import emit
from shared.timers import arm


async def open_due(db: AsyncSession, check_in_ids: Sequence[UUID], now: datetime, *, forms: Forms) -> None:
    """Open planned check-ins and queue their messages; whether it is night where the patient is now is judged when they are sent."""
    opened = await _due(db, check_in_ids, {CheckInStatus.PLANNED})
    for check_in in opened:
        check_in.open(forms.of_check_in[check_in.code], now)
    await db.flush()
    asked = [check_in for check_in in opened if check_in.expires_at > now]
    await outreach.queue(db, [outreach.NewMessage(item.check_in_id, item.patient_id, now) for item in asked], now)
    await arm(db, *(timer(OVERDUE, item.check_in_id, item.due_at) for item in opened))
    await arm(db, *(timer(EXPIRE, item.check_in_id, item.expires_at) for item in opened))


async def go_overdue(db: AsyncSession, check_in_ids: Sequence[UUID], now: datetime, *, policy: CheckInPolicy) -> None:
    """Mark open check-ins as overdue and set the time at which a person takes over."""
    overdue = await _due(db, check_in_ids, {CheckInStatus.OPEN})
    for check_in in overdue:
        emit(db, check_in.go_overdue(now))
    await db.flush()
    await arm(db, *(timer(CALL, item.check_in_id, item.due_at + policy.call_delay(item.code)) for item in overdue))


async def hand_to_staff(db: AsyncSession, check_in_ids: Sequence[UUID], now: datetime, *, setup: CheckInSetup) -> None:
    """Somebody is to call the patients who still have not answered, unless somebody is to call them about it anyhow.

    What was past its time before it could be asked, as after an outage, is not silence: one call for each patient lists all of it.
    """
    silent = await _due(db, check_in_ids, WAITING | {CheckInStatus.EXPIRED})
    called, sent = await telephoned(db, check_in_ids), await outreach.sent(db, check_in_ids)
    clinic = await find_zone(db)
    new = []
    for item in silent:
        zone, was_asked = clinic or zone_of(item.patient_time_zone), item.opened_at is None or item.opened_at < item.expires_at
        due_at = setup.times.due(setup.policy.call_within if was_asked else setup.policy.never_asked_within, now, zone)
        if was_asked and item.check_in_id not in called:
            new.append(overdue_task(item, now, due_at, sent=item.check_in_id in sent))
        elif item.check_in_id not in called:
            new.append(never_asked_task(item, setup.policy.never_asked_priority, now, due_at))
    await joining.add(db, new, now)


async def expire(db: AsyncSession, check_in_ids: Sequence[UUID]) -> None:
    """No answer is expected any more, and no message about it leaves any more."""
    expired = await _due(db, check_in_ids, WAITING)
    for check_in in expired:
        check_in.expire()
    await db.flush()
    await outreach.cancel(db, [check_in.check_in_id for check_in in expired], "expired")


async def _due(db: AsyncSession, check_in_ids: Sequence[UUID], statuses: AbstractSet[CheckInStatus]) -> list[CheckIn]:
    """Those of these check-ins that are in one of these states, locked after their patients.

    All are read: a state that only a later release knows raises LookupError, as its code does when it opens, so that the timer waits for a
    process that knows it. Left out by the query, it would count as done.
    """
    await lock_patients_of(db, check_in_ids)
    found = await locked(db, col(CheckIn.check_in_id).in_(check_in_ids))
    return [check_in for check_in in found if check_in.status in statuses]
