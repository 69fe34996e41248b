"""A patient was recorded as dead or as having left by mistake: follow-up goes on, and one call makes up for what was missed meanwhile.

Who had left before a death by mistake has left still: only what is owed to who has left comes back.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans import items, listing, weeks
from services.followup.plans.items import Whose
from services.followup.plans.means import REASON_OF, Means
from services.followup.plans.rules import catch_up
from services.followup.plans.slots import Item, Kind
from services.followup.reasons import Reason, ReasonCode
from services.followup.subjects.commands import lock_patients
from services.followup.tasks import commands as tasks
from services.followup.tasks.policy import CancelCause
from services.followup.tasks.queries import is_open_of_patient
from services.followup.tasks.rules import CancelledItem
from shared.db import clinic_of


async def make_up(db: AsyncSession, means: Means, cause: CancelCause, whose: Whose, since: datetime | None, *, ordinal: int) -> None:
    """Let the weeks of the patient's courses go on, and ask for one call about all that was called off or not asked, by whichever mistake.

    Nothing is sent for what has passed. What a call that is open or done lists is not listed again; what one listed that was itself called
    off, is. Open work that says of the patient that they have died or left is closed: the call stands for it, and nobody is to act on what
    is not so.
    """
    now, reason = means.now(), REASON_OF[cause]
    standing = (await lock_patients(db, [whose.patient_id]))[whose.patient_id]
    whose = replace(whose, patient_number=standing.patient_number or whose.patient_number)
    for not_so in _DEPARTURES:
        await _close_what_is_not_so(db, whose, not_so, now)
    missed = [*await _called_off(db, whose, _DEPARTURES), *await weeks.not_asked(db, means, whose.patient_id, since, now)]
    for course_id in await weeks.courses_of(db, whose.patient_id):
        await weeks.take_up(db, means, course_id)
    await _call_about(db, means, reason, whose, missed, ordinal)


async def give_back_what_is_owed(db: AsyncSession, means: Means, whose: Whose, *, ordinal: int) -> None:
    """Who had left was recorded as dead by mistake: what the death called off and the withdrawal keeps is called about.

    The safety call is not in it where it is offered again, which is in time until 72 hours after the infusion. What the withdrawal calls
    off was called off before.
    """
    now, death = means.now(), REASON_OF[CancelCause.DEATH]
    await _close_what_is_not_so(db, whose, death, now)
    kept = set(means.policy.kept_after(CancelCause.WITHDRAWAL))
    if await is_open_of_patient(db, whose.patient_id, Kind.SAFETY_OFFER.value):
        kept.discard(Kind.SAFETY_OFFER.value)
    owed = [item for item in await _called_off(db, whose, [death]) if item.code in kept]
    await _call_about(db, means, death, whose, owed, ordinal)


async def _close_what_is_not_so(db: AsyncSession, whose: Whose, cause: str, now: datetime) -> None:
    by_mistake, reason = [Kind.CANCELLATION_REVIEW.value, Kind.SAFETY_OFFER.value], ReasonCode.RECORDED_BY_MISTAKE.value
    patient_ids = [whose.patient_id]
    await tasks.cancel_open(db, now=now, patient_ids=patient_ids, only=by_mistake, cause=cause, reason=reason, caused_by=whose.caused_by)


async def _call_about(db: AsyncSession, means: Means, cause: str, whose: Whose, missed: Sequence[CancelledItem], ordinal: int) -> None:
    if missed:
        why = Reason(ReasonCode.RECORDED_BY_MISTAKE, {"cause": cause, "missed": [item.code for item in missed]})
        slot, now = catch_up(why, means.protocols.default, means.now(), ordinal=ordinal), means.now()
        await tasks.add(db, [items.new_task(whose, Item(slot), now, details=items.listed(missed, why.code.value))])


async def _called_off(db: AsyncSession, whose: Whose, reasons: Sequence[str]) -> Sequence[CancelledItem]:
    parameters = {"clinic_id": clinic_of(db), "patient_id": whose.patient_id, "reasons": list(reasons)}
    called_off = [CancelledItem(**row) for row in (await db.execute(_CALLED_OFF, parameters)).mappings()]
    calls = await listing.calls_of(db, whose.patient_id)
    return listing.still_missed(listing.stood_for(called_off, calls), calls)


_DEPARTURES = (REASON_OF[CancelCause.DEATH], REASON_OF[CancelCause.WITHDRAWAL])


_CALLED_OFF = text(
    """
    SELECT kind, code, id FROM (
        SELECT 'check-in' AS kind, code, check_in_id AS id, due_at FROM check_in
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = CAST(:patient_id AS uuid)
          AND status = 'cancelled' AND ended_reason = ANY(CAST(:reasons AS text[]))
        UNION ALL
        SELECT 'task', kind, task_id, due_at FROM care_task
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = CAST(:patient_id AS uuid)
          AND status = 'cancelled' AND status_reason = ANY(CAST(:reasons AS text[]))
    ) missed
    ORDER BY due_at, code
    """
)
