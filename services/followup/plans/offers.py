"""The offer of a safety call to a patient who has left, or revoked consent, soon after an infusion: one per patient and cause."""

from collections.abc import Iterable
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

_NUMBER_OF = {CancelCause.WITHDRAWAL: 0, CancelCause.TREATMENT_CONSENT_REVOKED: 1}
"""The ordinal of a cause's offer. With the infusion it is the natural key, so that no fact told again makes a second call."""


async def offer_safety(db: AsyncSession, means: Means, asking: Iterable[tuple[Standing, UUID | None]], now: datetime) -> None:
    """Offer a call to those of these patients who have left, unless it was offered after the same infusion or such an offer is open.

    The patients are locked before, and come with the event that asks. The task names the infusion but does not fall with it, for the
    call is owed to the patient. Two statements at most.
    """
    causes = [(standing, cause_of(standing), caused_by) for standing, caused_by in asking]
    left = {standing.patient_id: (standing, cause, caused_by) for standing, cause, caused_by in causes if cause in _NUMBER_OF}
    if not left:
        return
    ids = sorted(left)
    asked = {"ids": ids, "numbers": [_NUMBER_OF[left[patient_id][1]] for patient_id in ids]}
    new = []
    for last in await db.execute(_LAST_INFUSIONS, {**asked, "clinic_id": clinic_of(db)}):
        standing, cause, caused_by = left[last.patient_id]
        reason = Reason(ReasonCode.PATIENT_LEFT, {"cause": REASON_OF[cause], "ended_at": moment(last.pump_ended_at)})
        slot = safety_offer(last.pump_ended_at, reason, means.protocols.default, now, ordinal=_NUMBER_OF[cause])
        whose = Whose(last.patient_id, standing.patient_number or "", "Infusion", last.infusion_id, caused_by=caused_by)
        new += [items.new_task(whose, Item(slot), now)] if slot else []
    await tasks.add(db, new)


_LAST_INFUSIONS = text(
    f"""
    SELECT given.patient_id, last.infusion_id, last.pump_ended_at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS int[])) AS given(patient_id, number)
    JOIN LATERAL (
        SELECT infusion_id, pump_ended_at FROM infusion
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = given.patient_id AND {WHERE_GIVEN}
        ORDER BY pump_ended_at DESC, infusion_id DESC LIMIT 1
    ) AS last ON true
    WHERE NOT EXISTS (
        SELECT FROM care_task t
        WHERE t.clinic_id = CAST(:clinic_id AS uuid) AND t.patient_id = given.patient_id AND t.kind = 'safety-offer-call'
          AND t.ordinal = given.number AND {WHERE_OPEN}
    )
    ORDER BY given.patient_id
    """  # noqa: S608 - conditions of our own
)
