"""A patient was recorded as dead or as having left by mistake: follow-up goes on, and one call makes up for what was missed meanwhile.

Who had left before a death by mistake has left still: only what is owed to who has left comes back. Consent to treatment that is signed
again is no mistake, but what its revocation called off is made up for in the same way.
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
from services.followup.subjects.commands import Standing, lock_patients
from services.followup.tasks import commands as tasks
from services.followup.tasks import joining
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
    standing, whose = await _locked(db, whose)
    for cause_not_so in _DEPARTURES:
        await _close_what_is_not_so(db, whose, cause_not_so, now)
    not_so = [*_DEPARTURES] if standing.treatment_revoked else [*_DEPARTURES, REASON_OF[CancelCause.TREATMENT_CONSENT_REVOKED]]
    missed = [*await _called_off(db, whose, not_so), *await weeks.not_asked(db, means, whose.patient_id, since, now)]
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


async def take_up_after_consent(db: AsyncSession, means: Means, whose: Whose, *, ordinal: int) -> None:
    """Consent to treatment was signed again: the offer of a safety call is closed, and one call covers what the revocation called off.

    The revocation was no mistake, so the weeks that passed meanwhile are not missed. Who is recorded as dead or as having left meanwhile is
    not called; should that be a mistake, the call that makes up for it lists this as well.
    """
    now, revoked = means.now(), REASON_OF[CancelCause.TREATMENT_CONSENT_REVOKED]
    standing, whose = await _locked(db, whose)
    await _close_what_is_not_so(db, whose, revoked, now, ReasonCode.CONSENT_AGAIN)
    if means.called_off(standing) is None:
        await _call_about(db, means, revoked, whose, await _called_off(db, whose, [revoked]), ordinal, ReasonCode.CONSENT_AGAIN)


async def _locked(db: AsyncSession, whose: Whose) -> tuple[Standing, Whose]:
    """How the patient stands, whose number may be known here only now."""
    standing = (await lock_patients(db, [whose.patient_id]))[whose.patient_id]
    return standing, replace(whose, patient_number=standing.patient_number or whose.patient_number)


async def _close_what_is_not_so(
    db: AsyncSession, whose: Whose, cause: str, now: datetime, why: ReasonCode = ReasonCode.RECORDED_BY_MISTAKE
) -> None:
    only, patient_ids = [Kind.CANCELLATION_REVIEW.value, Kind.SAFETY_OFFER.value], [whose.patient_id]
    await tasks.cancel_open(db, now=now, patient_ids=patient_ids, only=only, cause=cause, reason=why.value, caused_by=whose.caused_by)


async def _call_about(
    db: AsyncSession,
    means: Means,
    cause: str,
    whose: Whose,
    missed: Sequence[CancelledItem],
    ordinal: int,
    code: ReasonCode = ReasonCode.RECORDED_BY_MISTAKE,
) -> None:
    if missed:
        why, now = Reason(code, {"cause": cause, "missed": [item.code for item in missed]}), means.now()
        slot = catch_up(why, means.protocols.default, now, ordinal=ordinal)
        listed = items.listed(missed, cause if code is ReasonCode.CONSENT_AGAIN else code.value)
        await joining.add(db, [items.new_task(whose, Item(slot), now, details=listed)], now)


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
