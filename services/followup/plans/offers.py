"""The offer of a safety call to a patient who has left, or revoked consent, soon after an infusion: one per patient and cause."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans import items
from services.followup.plans.items import Whose
from services.followup.plans.means import REASON_OF, Means, cause_of
from services.followup.plans.rules import safety_offer
from services.followup.plans.slots import Item
from services.followup.reasons import Reason, ReasonCode, moment
from services.followup.subjects.commands import Standing
from services.followup.subjects.models import WHERE_GIVEN
from services.followup.tasks import commands as tasks
from services.followup.tasks.models import WHERE_OPEN
from services.followup.tasks.policy import CancelCause
from shared.db import clinic_of

_OFFERED_AFTER = frozenset({CancelCause.WITHDRAWAL, CancelCause.TREATMENT_CONSENT_REVOKED})


async def offer_safety(db: AsyncSession, means: Means, asking: Iterable[tuple[Standing, UUID | None]], now: datetime) -> None:
    """Offer a call to those of these patients who have left, once for each time that they left, unless such an offer is open.

    What a death by mistake called off is offered again. The patients are locked before, and come with the event that asks. The task names
    the infusion but does not fall with it, for the call is owed to the patient. Two statements at most.
    """
    causes = [(standing, cause_of(standing), caused_by) for standing, caused_by in asking]
    left = {standing.patient_id: (standing, cause, caused_by) for standing, cause, caused_by in causes if cause in _OFFERED_AFTER}
    if not left:
        return
    ids = sorted(left)
    asked = {"ids": ids, "causes": [REASON_OF[left[patient_id][1]] for patient_id in ids], "death": REASON_OF[CancelCause.DEATH]}
    new = []
    for last in await db.execute(_LAST_INFUSIONS, {**asked, "clinic_id": clinic_of(db)}):
        standing, cause, caused_by = left[last.patient_id]
        reason = Reason(ReasonCode.PATIENT_LEFT, {"cause": REASON_OF[cause], "ended_at": moment(last.pump_ended_at)})
        slot = safety_offer(last.pump_ended_at, reason, means.protocols.default, now, ordinal=last.number)
        whose = Whose(last.patient_id, standing.patient_number or "", "Infusion", last.infusion_id, caused_by=caused_by)
        new += [replace(items.new_task(whose, Item(slot), now), attempt=last.attempt)] if slot else []
    await tasks.add(db, new)


_LAST_INFUSIONS = text(
    f"""
    SELECT given.patient_id, last.infusion_id, last.pump_ended_at, left_by.number, coalesce(made.attempt, 0) + 1 AS attempt
    FROM unnest(CAST(:ids AS uuid[]), CAST(:causes AS text[])) AS given(patient_id, cause)
    JOIN patient p ON p.clinic_id = CAST(:clinic_id AS uuid) AND p.patient_id = given.patient_id
    -- With the infusion the number is the natural key, so that no fact told again makes a second call. That of a withdrawal is the
    -- patient's version, that of a revoked consent is negative; what was known before they were kept has the number of its cause.
    CROSS JOIN LATERAL (
        SELECT CASE given.cause WHEN 'patient-withdrawn' THEN coalesce(p.left_version, 0) ELSE coalesce(-p.revoked_version, 1) END AS number
    ) AS left_by
    JOIN LATERAL (
        SELECT infusion_id, pump_ended_at FROM infusion
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = given.patient_id AND {WHERE_GIVEN}
        ORDER BY pump_ended_at DESC, infusion_id DESC LIMIT 1
    ) AS last ON true
    LEFT JOIN LATERAL (
        SELECT attempt, status = 'cancelled' AND status_reason = :death AS by_death FROM care_task t
        WHERE t.clinic_id = CAST(:clinic_id AS uuid) AND t.focus_id = last.infusion_id AND t.kind = 'safety-offer-call'
          AND t.ordinal = left_by.number
        ORDER BY attempt DESC LIMIT 1
    ) AS made ON true
    WHERE (made.attempt IS NULL OR made.by_death) AND NOT EXISTS (
        SELECT FROM care_task t
        WHERE t.clinic_id = CAST(:clinic_id AS uuid) AND t.patient_id = given.patient_id AND t.kind = 'safety-offer-call'
          AND t.facts ->> 'cause' = given.cause AND {WHERE_OPEN}
    )
    ORDER BY given.patient_id
    """  # noqa: S608 - conditions of our own
)
