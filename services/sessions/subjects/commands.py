"""Keeping the projections: each fact is applied once, by version, in whatever order and however often it arrives."""

from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.subjects.models import SPANS, Clinic, Consent, ConsentStanding, Course, Patient, PatientStatus
from shared.db import clinic_of
from shared.events.intake import ClinicChanged, ConsentChanged, ConsentRevoked, ConsentSigned, CourseChanged, PatientChanged, Span


async def note_clinic_settings(db: AsyncSession, event: ClinicChanged) -> None:
    """Take over a clinic's state unless a newer one is known."""
    values = {"clinic_id": event.clinic_id, "time_zone": event.time_zone, "active": event.active, "version": event.clinic_version}
    await _upsert_newer(db, Clinic, values, key=("clinic_id",))


async def note_patient(db: AsyncSession, event: PatientChanged) -> None:
    """Take over a patient's number and zone, when they were active, and the status, each unless a newer one is known."""
    given = insert(Patient).values(
        clinic_id=clinic_of(db),
        patient_id=event.patient_id,
        patient_number=event.patient_number,
        time_zone=event.time_zone,
        version=event.patient_version,
        status=event.status,
        status_version=event.patient_version,
        active=_kept(event.active),
        active_version=event.patient_version,
    )
    changes = {name: given.excluded[name] for name in ("patient_number", "time_zone", "version", "active", "active_version")}
    newer = col(Patient.version) < given.excluded.version
    await db.execute(given.on_conflict_do_update(index_elements=["clinic_id", "patient_id"], set_=changes, where=newer))
    await note_patient_status(db, event.patient_id, PatientStatus(event.status), event.patient_version)


async def note_patient_status(db: AsyncSession, patient_id: UUID, status: PatientStatus, version: int) -> None:
    """Take over a death, a withdrawal or a return. Works for a patient of whom nothing else is known yet."""
    given = insert(Patient).values(clinic_id=clinic_of(db), patient_id=patient_id, version=0, status=status.value, status_version=version)
    changes = {name: given.excluded[name] for name in ("status", "status_version")}
    newer = col(Patient.status_version) < given.excluded.status_version
    await db.execute(given.on_conflict_do_update(index_elements=["clinic_id", "patient_id"], set_=changes, where=newer))


async def note_consent_standing(db: AsyncSession, event: ConsentChanged) -> None:
    """Take over how a patient's consent of one type stands, unless a newer decision is known.

    A signature dated by a clock ahead stands from when that was told: a revocation after it is news.
    """
    values = {
        "clinic_id": clinic_of(db),
        "patient_id": event.patient_id,
        "consent_type": event.consent_type,
        "version": event.consent_standing,
        "standing": event.standing,
        "since": min(event.since, event.occurred_at),
        "until": event.until,
        "stood": _kept(event.stood),
    }
    await _upsert_newer(db, ConsentStanding, values, key=("clinic_id", "patient_id", "consent_type"))


async def note_consent_signed(db: AsyncSession, event: ConsentSigned) -> None:
    """Know a signature. A revocation heard of before stays."""
    given = insert(Consent).values(
        clinic_id=clinic_of(db),
        consent_id=event.consent_id,
        patient_id=event.patient_id,
        consent_type=event.consent_type,
        signed_at=event.signed_at,
        valid_until=event.valid_until,
    )
    changes = {"signed_at": given.excluded.signed_at, "valid_until": given.excluded.valid_until}
    await db.execute(given.on_conflict_do_update(index_elements=["clinic_id", "consent_id"], set_=changes))


async def note_consent_revoked(db: AsyncSession, event: ConsentRevoked) -> None:
    """Know a revocation, also of a consent whose signature has not been heard of. It is never taken back."""
    given = insert(Consent).values(
        clinic_id=clinic_of(db),
        consent_id=event.consent_id,
        patient_id=event.patient_id,
        consent_type=event.consent_type,
        revoked_at=event.occurred_at,
    )
    changes = {"revoked_at": func.coalesce(col(Consent.revoked_at), given.excluded.revoked_at)}
    await db.execute(given.on_conflict_do_update(index_elements=["clinic_id", "consent_id"], set_=changes))


async def note_course(db: AsyncSession, event: CourseChanged) -> None:
    """Take over a course's state unless a newer one is known."""
    values = {
        "clinic_id": clinic_of(db),
        "course_id": event.course_id,
        "patient_id": event.patient_id,
        "status": event.status,
        "protocol_code": event.protocol_code,
        "protocol_version": event.protocol_version,
        "therapist_id": event.therapist_id,
        "coordinator_id": event.coordinator_id,
        "version": event.course_version,
        "ran": _kept(event.ran),
        "ran_version": event.course_version,
    }
    await _upsert_newer(db, Course, values, key=("clinic_id", "course_id"))


def _kept(spans: list[Span] | None) -> Any:  # Any: JSON
    return None if spans is None else SPANS.dump_python(spans, mode="json")


async def _upsert_newer(
    db: AsyncSession,
    model: type[Clinic | Course | ConsentStanding],
    values: dict[str, Any],  # Any: column values of several types, given by the functions above
    *,
    key: tuple[str, ...],
) -> None:
    given = insert(model).values(values)
    changes = {name: given.excluded[name] for name in values if name not in key}
    newer = col(model.version) < given.excluded.version
    await db.execute(given.on_conflict_do_update(index_elements=list(key), set_=changes, where=newer))
