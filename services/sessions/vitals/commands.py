"""Saving vital signs, and striking what was saved in error."""

from uuid import UUID

from services.sessions.infusions.queries import get_infusion_for_change
from services.sessions.infusions.refusals import refuse
from services.sessions.infusions.reviews import review_start
from services.sessions.infusions.rules import impossible_fact_time, outside_visit
from services.sessions.infusions.states import Step
from services.sessions.infusions.steps import load
from services.sessions.limits import LimitsInForce
from services.sessions.vitals.limits import VitalLimits
from services.sessions.vitals.models import VitalSigns
from services.sessions.vitals.queries import get_vital_signs
from services.sessions.vitals.rules import Readings, impossible, unlikely
from services.sessions.vitals.schemas import RecordVitalSigns, StrikeVitalSigns
from shared.errors import FieldError, Invalid
from shared.web import CallContext


async def record_vital_signs(call: CallContext, infusion_id: UUID, body: RecordVitalSigns, limits: LimitsInForce) -> VitalSigns:
    """Save the readings of one moment, judged by the limits of that moment.

    Raises 409 state unless the patient is or was here, 422 for what cannot be a reading.
    """
    infusion, subject = await load(call, infusion_id, Step.VITAL_SIGNS)
    times = (await limits.at(call.db, call.now, call.now)).infusions.times
    refuse(
        impossible_fact_time(body.measured_at, call.now, times, "/measured_at"),
        outside_visit(infusion.arrived_at, infusion.departed_at, body.measured_at, times, "/measured_at"),
    )
    readings, judged_by = body.readings(), (await limits.at(call.db, body.measured_at, call.now)).vitals
    _refuse_impossible(readings, judged_by)
    signs = VitalSigns(
        clinic_id=call.clinic_id,
        infusion_id=infusion_id,
        measured_at=body.measured_at,
        recorded_at=call.now,
        actor=call.caller.actor,
        limits_version=judged_by.version,
        marks=[mark._asdict() for mark in unlikely(readings, judged_by)],
    )
    for name, value in readings.items():
        setattr(signs, name, value)
    call.db.add(signs)
    await review_start(call, infusion, subject, signs.measured_at, limits)
    call.etag(signs.version)
    return signs


async def strike_vital_signs(
    call: CallContext, infusion_id: UUID, vital_signs_id: UUID, body: StrikeVitalSigns, limits: LimitsInForce
) -> VitalSigns:
    """Strike readings as entered in error. Raises 404, 428 or 412 for the readings' version, 409 for those struck before.

    Who made the slip may strike it; what it held stays held, by ``rules.holding``, until it is taken again or a prescriber decides.
    """
    infusion, subject = await get_infusion_for_change(call.db, infusion_id)
    call.patient(infusion.patient_id)
    signs = await get_vital_signs(call.db, infusion_id, vital_signs_id)
    call.require_version(signs.version)
    signs.strike(actor=call.caller.actor, reason=body.reason, at=call.now)
    await review_start(call, infusion, subject, signs.measured_at, limits)
    call.etag(signs.version)
    return signs


def _refuse_impossible(readings: Readings, limits: VitalLimits) -> None:
    found = impossible(readings, limits)
    if found:
        raise Invalid(found[0].code, "A reading is missing or not possible.", errors=[FieldError(*finding) for finding in found])
