"""Saving vital signs."""

from uuid import UUID

from services.sessions.infusions.queries import get_infusion
from services.sessions.infusions.refusals import refuse
from services.sessions.infusions.rules import impossible_fact_time
from services.sessions.infusions.states import Step
from services.sessions.limits import Limits
from services.sessions.vitals.models import VitalSigns
from services.sessions.vitals.rules import Readings, impossible
from services.sessions.vitals.schemas import RecordVitalSigns
from shared.errors import FieldError, Invalid
from shared.web import CallContext


async def record_vital_signs(call: CallContext, infusion_id: UUID, body: RecordVitalSigns, limits: Limits) -> VitalSigns:
    """Save the readings of one moment. Raises 409 state unless the patient is here, 422 for what cannot be a reading."""
    infusion = await get_infusion(call.db, infusion_id, unchanging=True)
    call.patient(infusion.patient_id)
    infusion.require(Step.VITAL_SIGNS)
    refuse(impossible_fact_time(body.measured_at, call.now, limits.infusions.times, "/measured_at"))
    readings = body.readings()
    _refuse_impossible(readings, limits)
    signs = VitalSigns(
        clinic_id=call.clinic_id,
        infusion_id=infusion_id,
        measured_at=body.measured_at,
        recorded_at=call.now,
        actor=call.caller.actor,
    )
    for name, value in readings.items():
        setattr(signs, name, value)
    call.db.add(signs)
    return signs


def _refuse_impossible(readings: Readings, limits: Limits) -> None:
    found = impossible(readings, limits.vitals)
    if found:
        raise Invalid(found[0].code, "A reading is missing or not possible.", errors=[FieldError(*finding) for finding in found])
