"""C72 gives way to the next infusion, and is asked after all when that one does not count.

What is known of the patient's infusions decides, not the event that told of it. So a start, an infusion entered late, a correction of
either record and one entered in error all end in the same comparison, and any of them may be told again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import commands as check_ins
from services.followup.checkins.models import CheckIn, CheckInStatus
from services.followup.checkins.queries import telephoned
from services.followup.checkins.work import OVERDUE_CALL, TELEPHONE_CHECK_IN, after_all_task
from services.followup.plans import items
from services.followup.plans.items import Whose
from services.followup.plans.means import Means
from services.followup.plans.protocol import Protocol
from services.followup.plans.rules import catch_up, is_past_due, is_superseded, third_day
from services.followup.plans.slots import PAST_DUE, CheckInSlot, InfusionOutcome, Item
from services.followup.reasons import Reason, ReasonCode
from services.followup.subjects.commands import Noted, Standing
from services.followup.subjects.models import WHERE_COUNTS
from services.followup.tasks import commands as tasks
from services.followup.tasks import joining
from services.followup.tasks.commands import NewTask
from services.followup.tasks.rules import CancelledItem
from shared.db import clinic_of

NEXT_INFUSION = "next-infusion"
"""Why a check-in was superseded."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A C72 of a plan that goes on, as it stands and as the record of its infusion wants it."""

    check_in_id: UUID
    patient_id: UUID
    superseded: bool
    protocol: Protocol
    wanted: CheckInSlot
    gives_way: bool


async def make_way(db: AsyncSession, means: Means, noted: Collection[Noted], standings: Mapping[UUID, Standing], now: datetime) -> None:
    """See anew to the C72 of these infusions and of those before them, whose patients are locked before.

    Where a patient has had no other infusion there is nothing to see to. Nobody is asked after all who has died or left, nor about a C72
    that would have expired by now.
    """
    among_others = [one for one in noted if one.among_others]
    if not among_others:
        return
    await db.flush()
    asked = await _asked(db, means, among_others)
    ending = [one.check_in_id for one in asked if one.gives_way and not one.superseded]
    if ending:
        await _give_way(db, ending, now)
    cared_for = {one.patient_id for one in among_others if means.called_off(standings[one.patient_id]) is None}
    wanted = [one for one in asked if one.superseded and not one.gives_way and one.wanted.expires_at >= now]
    again = {one.check_in_id: one for one in wanted if one.patient_id in cared_for}
    if again:
        await _ask_after_all(db, again, now)


async def _give_way(db: AsyncSession, ending: list[UUID], now: datetime) -> None:
    """What a C72 has raised stays, but for the call that only stood in for its link: the next infusion's check-ins ask instead."""
    await check_ins.supersede(db, ending, NEXT_INFUSION)
    stood_in = ReasonCode.ASKED_AFTER_ALL
    await tasks.cancel_open(db, now=now, focus_ids=ending, only=[TELEPHONE_CHECK_IN], because=stood_in, reason=NEXT_INFUSION)


async def _ask_after_all(db: AsyncSession, again: dict[UUID, _Asked], now: datetime) -> None:
    late = [check_in_id for check_in_id, one in again.items() if is_past_due(one.wanted, now)]
    slots = {check_in_id: one.wanted for check_in_id, one in again.items() if check_in_id not in late}
    taken_up = await check_ins.take_up(db, slots)
    missing = await check_ins.miss(db, late, PAST_DUE)
    called = await telephoned(db, list(again), (OVERDUE_CALL, TELEPHONE_CHECK_IN))
    # Either call is numbered by the version of its check-in, as the record's numbers those of a correction.
    new = [after_all_task(asked, now) for asked in taken_up if asked.check_in_id not in called]
    new += [_call_about(missed, again[missed.check_in_id].protocol, now) for missed in missing if missed.check_in_id not in called]
    await joining.add(db, new, now)


def _call_about(missed: CheckIn, protocol: Protocol, now: datetime) -> NewTask:
    whose = Whose(missed.patient_id, missed.patient_number, "CheckIn", missed.check_in_id, missed.infusion_id, missed.plan_id)
    reason = Reason(ReasonCode.GAVE_WAY_IN_VAIN, {"check_in": missed.code, "missed": [missed.code]})
    slot = catch_up(reason, protocol, now, ordinal=missed.version)
    listed = items.listed([CancelledItem("check-in", missed.code, missed.check_in_id)], PAST_DUE)
    return items.new_task(whose, Item(slot), now, details=listed)


async def _asked(db: AsyncSession, means: Means, noted: Collection[Noted]) -> list[_Asked]:
    """A start concerns the C72 of those infusions that ended since the last start before it: it is their next one, or was.

    An earlier one's next infusion is another, whatever became of this. So the cost does not grow with what a patient has.
    """
    starts = [(one.patient_id, start) for one in noted for start in one.starts]
    given = {
        "ids": sorted(one.infusion_id for one in noted),
        "patients": [patient_id for patient_id, _ in starts],
        "starts": [start for _, start in starts],
    }
    asked = []
    for row in await db.execute(_C72, {"clinic_id": clinic_of(db), **given}):
        protocol = means.protocols.get(row.protocol_code, row.protocol_version)
        wanted = third_day(row.pump_ended_at, protocol, generation=row.generation)
        gives_way = is_superseded(wanted, InfusionOutcome(row.outcome), filter(None, [row.next_start]))
        asked.append(_Asked(row.check_in_id, row.patient_id, row.status == CheckInStatus.SUPERSEDED, protocol, wanted, gives_way))
    return asked


# OFFSET 0: looked up one by one, in this order. With statistics from before a flood the planner would rather read all of a patient's.
_C72 = text(
    f"""
    WITH concerned AS (
        SELECT unnest(CAST(:ids AS uuid[])) AS infusion_id
        UNION
        SELECT ended.infusion_id FROM (
            SELECT patient_id, start, coalesce((
                SELECT started_at FROM infusion
                WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = given.patient_id AND started_at < given.start AND {WHERE_COUNTS}
                ORDER BY started_at DESC LIMIT 1
            ), '-infinity') AS since
            FROM unnest(CAST(:patients AS uuid[]), CAST(:starts AS timestamptz[])) AS given(patient_id, start) OFFSET 0
        ) AS reach
        CROSS JOIN LATERAL (
            SELECT infusion_id FROM plan
            WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = reach.patient_id AND status = 'active'
              AND pump_ended_at >= reach.since AND pump_ended_at < reach.start OFFSET 0
        ) AS ended
    )
    SELECT c.check_in_id, p.patient_id, c.status, p.outcome, p.pump_ended_at, p.generation, p.protocol_code, p.protocol_version, (
        SELECT started_at FROM infusion
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = p.patient_id AND infusion_id <> concerned.infusion_id
          AND started_at > p.pump_ended_at AND {WHERE_COUNTS}
        ORDER BY started_at LIMIT 1
    ) AS next_start
    FROM concerned
    CROSS JOIN LATERAL (
        SELECT patient_id, outcome, pump_ended_at, generation, protocol_code, protocol_version FROM plan
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND infusion_id = concerned.infusion_id AND status = 'active' OFFSET 0
    ) AS p
    CROSS JOIN LATERAL (
        SELECT check_in_id, status FROM check_in
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND infusion_id = concerned.infusion_id AND code = 'C72' AND ordinal = p.generation
          AND status IN ('planned', 'open', 'overdue', 'superseded') OFFSET 0
    ) AS c
    ORDER BY c.check_in_id
    """  # noqa: S608 - a condition of our own
)
