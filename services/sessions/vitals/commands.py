"""Saving vital signs, and striking what was saved in error."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

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
from shared.db import clinic_of
from shared.errors import FieldError, Invalid
from shared.security.caller import Actor


class Kept(NamedTuple):
    """Readings as they are now, and whose they are."""

    signs: VitalSigns
    patient_id: UUID


async def record_vital_signs(
    db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: RecordVitalSigns, limits: LimitsInForce
) -> Kept:
    """Save the readings of one moment, judged by the limits of that moment.

    Raises 409 state unless the patient is or was here, 422 for what cannot be a reading.
    """
    infusion, subject = await load(db, actor, infusion_id, Step.VITAL_SIGNS)
    times = (await limits.at(db, now, now)).infusions.times
    refuse(
        impossible_fact_time(body.measured_at, now, times, "/measured_at"),
        outside_visit(infusion.arrived_at, infusion.departed_at, body.measured_at, times, "/measured_at"),
    )
    readings, judged_by = body.readings(), (await limits.at(db, body.measured_at, now)).vitals
    _refuse_impossible(readings, judged_by)
    signs = VitalSigns(
        clinic_id=clinic_of(db),
        infusion_id=infusion_id,
        measured_at=body.measured_at,
        recorded_at=now,
        actor=actor.name,
        limits_version=judged_by.version,
        marks=[mark._asdict() for mark in unlikely(readings, judged_by)],
    )
    for name, value in readings.items():
        setattr(signs, name, value)
    db.add(signs)
    await review_start(db, actor, now, infusion, subject, signs.measured_at, limits)
    return Kept(signs, infusion.patient_id)


async def strike_vital_signs(
    db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, vital_signs_id: UUID, body: StrikeVitalSigns, limits: LimitsInForce
) -> Kept:
    """Strike readings as entered in error. Raises 404, 428 or 412 for the readings' version, 409 for those struck before.

    Who made the slip may strike it; what it held stays held, by ``rules.holding``, until it is taken again or a prescriber decides.
    """
    infusion, subject = await get_infusion_for_change(db, infusion_id)
    signs = await get_vital_signs(db, infusion_id, vital_signs_id)
    actor.require_version(signs.version)
    signs.strike(actor=actor.name, reason=body.reason, at=now)
    await review_start(db, actor, now, infusion, subject, signs.measured_at, limits)
    return Kept(signs, infusion.patient_id)


def _refuse_impossible(readings: Readings, limits: VitalLimits) -> None:
    found = impossible(readings, limits)
    if found:
        raise Invalid(found[0].code, "A reading is missing or not possible.", errors=[FieldError(*finding) for finding in found])
