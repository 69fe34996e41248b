"""What time does to tasks: overdue, missed, woken from a hold. A handler writes a batch of one clinic at once."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.tasks.commands import clock_timer
from services.followup.tasks.models import MACHINE
from services.followup.tasks.rules import BusinessStatus
from services.followup.tasks.statements import MARK_LATE, WAKE_UP
from shared.clock import Clock
from shared.db import clinic_of
from shared.timers import DueTimer, arm


async def come_due(clock: Clock, db: AsyncSession, timers: Sequence[DueTimer]) -> None:
    """Mark open tasks that are past their due time as overdue, and those past their last useful moment as missed. They stay open."""
    marked = (await db.execute(MARK_LATE, _parameters(db, timers, clock.now()))).all()
    overdue = [row for row in marked if row.business_status == BusinessStatus.OVERDUE and row.expires_at is not None]
    await arm(db, *(clock_timer(row.task_id, row.expires_at) for row in overdue))


async def wake(clock: Clock, db: AsyncSession, timers: Sequence[DueTimer]) -> None:
    """End the holds whose time has come: whoever had the task has it again, and what lost its owner meanwhile is for everybody."""
    await db.execute(WAKE_UP, _parameters(db, timers, clock.now()))


def _parameters(db: AsyncSession, timers: Sequence[DueTimer], now: datetime) -> dict[str, object]:
    return {"clinic_id": clinic_of(db), "ids": [timer.subject_id for timer in timers], "now": now, "actor": MACHINE}
