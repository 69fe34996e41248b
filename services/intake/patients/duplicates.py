"""Somebody who may be registered already is asked about before there are two records, each with half of what is known."""

from collections.abc import Iterable

from sqlalchemy import text

from services.intake.patients.likeness import Person, likely_same
from services.intake.patients.models import DistinctPatients, Patient
from services.intake.patients.queries import distinct_from, patients_born_on
from services.intake.patients.schemas import Confirmation
from services.intake.policy import Policy
from shared.errors import Conflict
from shared.web import CallContext

_SHOWN = 10


async def refuse_duplicate(
    call: CallContext, patient: Patient, confirmation: Confirmation | None, policy: Policy, *, before: Person | None = None
) -> None:
    """Raises 409 possible-duplicate for somebody like a registered patient, unless somebody says that they are two, and why.

    ``before`` is what the record said before a change: whoever was like it then was asked about then.
    """
    await call.db.execute(LOCK, {"clinic_id": call.clinic_id, "birth_date": patient.birth_date})
    likely = await _likely(call, patient, policy, before)
    if not likely:
        return
    call.saw(other.patient_id for other in likely)
    if confirmation is None:
        raise _asked(call, likely, policy)
    call.db.add(patient)
    await call.db.flush()  # the record is there before what refers to it
    call.db.add_all(_distinct(call, patient, other, confirmation) for other in likely)


async def _likely(call: CallContext, patient: Patient, policy: Policy, before: Person | None) -> list[Patient]:
    percent = policy.likely_duplicate.similar_names_percent
    others = [other for other in await patients_born_on(call.db, patient.birth_date) if other.patient_id != patient.patient_id]
    likely = [other for other in others if likely_same(patient, other, similar_percent=percent)]
    if before is None or not likely:
        return likely
    settled = await distinct_from(call.db, patient.patient_id)
    settled |= {other.patient_id for other in likely if likely_same(before, other, similar_percent=percent)}
    return [other for other in likely if other.patient_id not in settled]


def _asked(call: CallContext, likely: Iterable[Patient], policy: Policy) -> Conflict:
    """Who may read patients learns which records to look at; others only that there are some."""
    records = [{"patient_id": str(other.patient_id), "patient_number": other.patient_number} for other in likely]
    shown = {"possible_duplicates": records[:_SHOWN]} if call.caller.may("system/Patient.r") else {}
    return Conflict(
        "possible-duplicate",
        "A patient born on the same day, with a like name or the same contact, is registered; if they are two people, repeat with "
        "duplicate_confirmation.",
        extra={**shown, "override": "duplicate_confirmation", "source": policy.likely_duplicate.source},
    )


def _distinct(call: CallContext, patient: Patient, other: Patient, confirmation: Confirmation) -> DistinctPatients:
    return DistinctPatients(
        clinic_id=call.clinic_id,
        patient_id=patient.patient_id,
        other_patient_id=other.patient_id,
        decided_at=call.now,
        decided_by=call.caller.actor,
        reason=confirmation.reason,
    )


LOCK = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'born', CAST(:clinic_id AS uuid), CAST(:birth_date AS date)), 0))"
)
"""Whoever registers or changes somebody born on a day waits for the others who do; of two at one moment, the second is asked."""
