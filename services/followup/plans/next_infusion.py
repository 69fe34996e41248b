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
from services.followup.tasks import commands as tasks
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
    """See anew to every C72 of these infusions' patients, who are locked before; none where a patient has had no other infusion.

    Nobody is asked after all who has died or left, nor about a C72 that would have expired by now.
    """
    patients = sorted({one.patient_id for one in noted if one.among_others})
    if not patients:
        return
    await db.flush()
    asked = await _asked(db, means, patients)
    ending = [one.check_in_id for one in asked if one.gives_way and not one.superseded]
    if ending:
        await _give_way(db, ending, now)
    cared_for = {patient_id for patient_id in patients if means.called_off(standings[patient_id]) is None}
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
    await tasks.add(db, new)


def _call_about(missed: CheckIn, protocol: Protocol, now: datetime) -> NewTask:
    whose = Whose(missed.patient_id, missed.patient_number, "CheckIn", missed.check_in_id, missed.infusion_id, missed.plan_id)
    reason = Reason(ReasonCode.GAVE_WAY_IN_VAIN, {"check_in": missed.code})
    slot = catch_up(reason, protocol, now, ordinal=missed.version)
    listed = items.listed([CancelledItem("check-in", missed.code, missed.check_in_id)], PAST_DUE)
    return items.new_task(whose, Item(slot), now, details=listed)


async def _asked(db: AsyncSession, means: Means, patient_ids: list[UUID]) -> list[_Asked]:
    asked = []
    for row in await db.execute(_C72, {"clinic_id": clinic_of(db), "ids": patient_ids}):
        protocol = means.protocols.get(row.protocol_code, row.protocol_version)
        wanted = third_day(row.pump_ended_at, protocol, generation=row.generation)
        gives_way = is_superseded(wanted, InfusionOutcome(row.outcome), row.next_starts)
        asked.append(_Asked(row.check_in_id, row.patient_id, row.status == CheckInStatus.SUPERSEDED, protocol, wanted, gives_way))
    return asked


_C72 = text(
    """
    SELECT c.check_in_id, c.patient_id, c.status, p.outcome, p.pump_ended_at, p.generation, p.protocol_code, p.protocol_version, ARRAY(
        SELECT next.started_at FROM infusion next
        WHERE next.clinic_id = c.clinic_id AND next.patient_id = c.patient_id AND next.infusion_id <> c.infusion_id
          AND next.started_at > p.pump_ended_at AND next.drug_given IS NOT FALSE AND next.state <> 'entered-in-error'
    ) AS next_starts
    FROM check_in c JOIN plan p ON p.clinic_id = c.clinic_id AND p.infusion_id = c.infusion_id
    WHERE c.clinic_id = CAST(:clinic_id AS uuid) AND c.patient_id = ANY(CAST(:ids AS uuid[])) AND c.code = 'C72'
      AND c.ordinal = p.generation AND c.status IN ('planned', 'open', 'overdue', 'superseded') AND p.status = 'active'
    ORDER BY c.check_in_id
    """
)
