"""Looking up whom an infusion is about."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, or_, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.subjects.models import SPANS, TREATMENT, Consent, ConsentStanding, Course, Patient, Subject
from services.sessions.subjects.rules import stood_at
from shared.db import clinic_of
from shared.errors import FieldError, Invalid


async def get_subject_for_booking(db: AsyncSession, patient_id: UUID, course_id: UUID) -> Subject:
    """The patient and their course, with the patient locked. Raises Invalid (422 reference-not-found) naming what is unknown here.

    All writes about one patient's infusions take this lock first, so duplicates and the order of a course are judged one by one.
    """
    patient = await db.scalar(
        select(Patient)
        .where(col(Patient.clinic_id) == clinic_of(db), col(Patient.patient_id) == patient_id, col(Patient.time_zone).is_not(None))
        .with_for_update(key_share=True)
    )
    course = await db.scalar(
        select(Course).where(
            col(Course.clinic_id) == clinic_of(db), col(Course.course_id) == course_id, col(Course.patient_id) == patient_id
        )
    )
    if patient is None or course is None:
        pointer = "/patient_id" if patient is None else "/course_id"
        raise Invalid("reference-not-found", "The body refers to something that is not known here.", errors=[_unknown(pointer)])
    return Subject(patient, course)


async def treatment_consented(db: AsyncSession, patient_id: UUID, at: datetime) -> bool:
    """Whether consent to treatment stood at that moment, as intake decided it.

    A revocation that the decision did not know, since an intake of the release before recorded it, ends it too. Where such an intake has
    only told signatures: whether one was valid; its last moment is inside.
    """
    decision = (
        col(ConsentStanding.clinic_id) == clinic_of(db),
        col(ConsentStanding.patient_id) == patient_id,
        col(ConsentStanding.consent_type) == TREATMENT,
    )
    revocation = exists().where(
        *decision,
        col(Consent.clinic_id) == clinic_of(db),
        col(Consent.patient_id) == patient_id,
        col(Consent.consent_type) == TREATMENT,
        # One that the decision knew ended an earlier span: what stands was signed after it.
        col(Consent.revoked_at).between(col(ConsentStanding.since), at),
    )
    signature = exists().where(
        col(Consent.clinic_id) == clinic_of(db),
        col(Consent.patient_id) == patient_id,
        col(Consent.consent_type) == TREATMENT,
        col(Consent.signed_at) <= at,
        col(Consent.valid_until) >= at,
        or_(col(Consent.revoked_at).is_(None), col(Consent.revoked_at) > at),
    )
    told = select(col(ConsentStanding.stood)).where(*decision).scalar_subquery()
    stood, revoked, signed = (await db.execute(select(told, revocation, signature))).one()
    return bool(signed) if stood is None else stood_at(SPANS.validate_python(stood), at) and not revoked


def _unknown(pointer: str) -> FieldError:
    return FieldError(pointer, "reference-not-found", "Not known in this clinic.")
