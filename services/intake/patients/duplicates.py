"""Somebody who may be registered already is asked about before there are two records, each with half of what is known."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.patients.likeness import Person, likely_same
from services.intake.patients.models import DistinctPatients, Patient
from services.intake.patients.queries import distinct_from, patients_born_on
from services.intake.patients.schemas import Confirmation
from services.intake.policy import Policy
from shared.errors import Conflict
from shared.security.caller import Actor

_SHOWN = 10


async def refuse_duplicate(
    db: AsyncSession,
    actor: Actor,
    now: datetime,
    patient: Patient,
    confirmation: Confirmation | None,
    policy: Policy,
    *,
    before: Person | None = None,
) -> Collection[UUID]:
    """Raises 409 possible-duplicate for somebody like a registered patient, unless somebody says that they are two, and why. Returns of
    whom that was said.

    ``before`` is what the record said before a change: whoever was like it then was asked about then.
    """
    await db.execute(LOCK, {"clinic_id": patient.clinic_id, "birth_date": patient.birth_date})
    likely = await _likely(db, patient, policy, before)
    if likely and confirmation is None:
        raise _asked(actor, likely, policy)
    if likely and confirmation is not None:
        db.add(patient)
        await db.flush()  # the record is there before what refers to it
        db.add_all(_distinct(actor, now, patient, other, confirmation) for other in likely)
    return [other.patient_id for other in likely]


async def _likely(db: AsyncSession, patient: Patient, policy: Policy, before: Person | None) -> list[Patient]:
    percent = policy.likely_duplicate.similar_names_percent
    others = [other for other in await patients_born_on(db, patient.birth_date) if other.patient_id != patient.patient_id]
    likely = [other for other in others if likely_same(patient, other, similar_percent=percent)]
    if before is None or not likely:
        return likely
    settled = await distinct_from(db, patient.patient_id)
    settled |= {other.patient_id for other in likely if likely_same(before, other, similar_percent=percent)}
    return [other for other in likely if other.patient_id not in settled]


def _asked(actor: Actor, likely: Sequence[Patient], policy: Policy) -> Conflict:
    """Who may read patients learns which records to look at; others only that there are some."""
    records = [{"patient_id": str(other.patient_id), "patient_number": other.patient_number} for other in likely]
    shown = {"possible_duplicates": records[:_SHOWN]} if actor.may("system/Patient.r") else {}
    question = Conflict(
        "possible-duplicate",
        "A patient born on the same day, with a like name or the same contact, is registered; if they are two people, repeat with "
        "duplicate_confirmation.",
        extra={**shown, "override": "duplicate_confirmation", "source": policy.likely_duplicate.source},
    )
    question.showed = [other.patient_id for other in likely]
    return question


def _distinct(actor: Actor, now: datetime, patient: Patient, other: Patient, confirmation: Confirmation) -> DistinctPatients:
    return DistinctPatients(
        clinic_id=patient.clinic_id,
        patient_id=patient.patient_id,
        other_patient_id=other.patient_id,
        decided_at=now,
        decided_by=actor.name,
        reason=confirmation.reason,
    )


LOCK = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'born', CAST(:clinic_id AS uuid), CAST(:birth_date AS date)), 0))"
)
"""Whoever registers or changes somebody born on a day waits for the others who do; of two at one moment, the second is asked."""
