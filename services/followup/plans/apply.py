"""Writing the changes of many patients, in a number of statements that does not grow with them. What is empty is not sent.

Rows change only as they were compared: where one is another by now, nothing at all is written.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import changes as check_ins
from services.followup.checkins import links
from services.followup.checkins.changes import Became, ChangedCheckIn
from services.followup.checkins.models import UNANSWERED, LinkStatus
from services.followup.outreach import commands as outreach
from services.followup.outreach.commands import CancelledMessage
from services.followup.plans import pins
from services.followup.plans.cover_rows import add_covers
from services.followup.plans.difference import Difference
from services.followup.plans.item_rows import Rows, add_items, given_back
from services.followup.plans.wanted import Key
from services.followup.tasks import changes as tasks
from shared.timers import Timer, arm, disarm


async def apply(db: AsyncSession, actor: str, differences: Sequence[Difference], now: datetime, *, also: Sequence[Timer] = ()) -> None:
    """Write what has to change, and arm the timers of these differences and ``also``; the patients are locked before.

    Raises Overtaken where a row is another than was compared.
    """
    await pins.pin(db, differences, now)
    rows = await _item_rows(db, actor, differences, now)
    await check_ins.make(db, rows.made_check_ins)
    became, unsent = await change_check_ins(db, rows.changed_check_ins, now, closed=rows.closed)
    for difference in differences:
        add_covers(rows, difference, unsent, actor, now)
    await tasks.make(db, rows.made_tasks)
    changed = await tasks.change(db, actor, rows.changed_tasks, now)
    timed = (rows.made_check_ins, rows.made_tasks, became, changed)
    await disarm(db, *(key for one in became for key in one.over), *(key for one in changed for key in one.over))
    await arm(db, *(timer for group in timed for one in group for timer in one.timers), *also)


async def _item_rows(db: AsyncSession, actor: str, differences: Sequence[Difference], now: datetime) -> Rows:
    rows = Rows()
    back = [change.after.key for one in differences for change in one.item_changes if given_back(change)]
    asked_before = {Key(*key): row for key, row in (await check_ins.of_keys(db, back)).items()}
    for difference in differences:
        add_items(rows, difference, asked_before, actor, now)
    return rows


async def change_check_ins(
    db: AsyncSession, changed: Sequence[ChangedCheckIn], now: datetime, *, closed: Sequence[UUID] = ()
) -> tuple[list[Became], list[CancelledMessage]]:
    """Change check-ins. Messages that have not left go with them, and no link outlives its own; ``closed`` are others whose links go.

    Returns what the check-ins became, and the messages that were called off.
    """
    became = await check_ins.change(db, changed, now)
    reasons = {one.check_in_id: one.ended_reason or "" for one in changed}
    ended = {one.check_in_id: reasons[one.check_in_id] for one in became if one.has_ended}
    moved = {one.check_in_id: max(one.opens_at, now) for one in became if one.status in UNANSWERED and one.before in UNANSWERED}
    unsent = await outreach.follow(db, ended, moved)
    if ended or closed:
        await links.close(db, [*ended, *closed], LinkStatus.DEAD)
    return became, unsent
