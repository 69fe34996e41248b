"""Timer kind -> what happens to the check-ins whose time has come."""

from collections.abc import Mapping, Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import progress
from services.followup.checkins.commands import CALL, EXPIRE, OPEN, OVERDUE
from services.followup.checkins.policy import CheckInSetup
from shared.clock import Clock
from shared.timers import DueTimer, TimerHandler


def timer_handlers(clock: Clock, *, setup: CheckInSetup) -> Mapping[str, TimerHandler]:
    """The timers that this slice arms, each with its handler."""

    async def on_open(db: AsyncSession, due: Sequence[DueTimer]) -> None:
        await progress.open_due(db, [timer.subject_id for timer in due], clock.now(), forms=setup.forms)

    async def on_overdue(db: AsyncSession, due: Sequence[DueTimer]) -> None:
        await progress.go_overdue(db, [timer.subject_id for timer in due], clock.now(), policy=setup.policy)

    async def on_call(db: AsyncSession, due: Sequence[DueTimer]) -> None:
        await progress.hand_to_staff(db, [timer.subject_id for timer in due], clock.now(), setup=setup)

    async def on_expire(db: AsyncSession, due: Sequence[DueTimer]) -> None:
        await progress.expire(db, [timer.subject_id for timer in due])

    return {OPEN: on_open, OVERDUE: on_overdue, CALL: on_call, EXPIRE: on_expire}
