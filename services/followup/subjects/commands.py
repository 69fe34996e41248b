"""Keeping the projections: each fact is applied once, by version, in whatever order and however often it arrives."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.subjects import statements
from services.followup.subjects.models import (
    Clinic,
    CourseStatus,
    InfusionState,
    Patient,
    PatientStatus,
)
from services.followup.tables import arrays_of
from shared.db import clinic_of
from shared.events.intake import ClinicChanged, ConsentChanged, CourseChanged, PatientChanged, PatientDeceased, PatientWithdrawn, Span
from shared.events.sessions import EndedInfusionEvent, InfusionAmended, InfusionEvent


@dataclass(frozen=True, slots=True)
class Standing:
    """How a patient stands at this moment; the row is locked until the transaction ends."""

    patient_id: UUID
    status: PatientStatus
    treatment_revoked: bool
    patient_number: str | None
    time_zone: str | None
    clinic_time_zone: str | None
    """The zone of the clinic's business days, where it is known."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What was known of an infusion before news of it were taken over, and when it was started by what is known now."""

    infusion_id: UUID
    patient_id: UUID
    starts: tuple[datetime, ...]
    """When it was started, by what was known before and by what is known now."""
    news: bool
    """Whether nothing had been heard of it before."""


async def lock_patients(db: AsyncSession, patient_ids: Collection[UUID]) -> dict[UUID, Standing]:
    """Lock patients, in one statement and one order, whether anything was heard of them or not.

    Whatever makes or cancels follow-up comes through here first, so that a death and an infusion that arrive from two topics at the
    same moment are handled one after the other. So does what a person does with a task, what a patient answers, what a check-in's time
    brings and what becomes of a message. Check-ins are locked next, and tasks last.
    """
    rows = await statements.LOCK.rows(db, clinic_id=clinic_of(db), ids=sorted(set(patient_ids)))
    return {row["patient_id"]: _standing(**row) for row in rows}


def _standing(*, status: str, **known: Any) -> Standing:  # Any: the columns of ``statements.LOCK``
    return Standing(status=PatientStatus(status), **known)


async def note_clinic(db: AsyncSession, event: ClinicChanged) -> None:
    """Take over a clinic's state unless a newer one is known."""
    given = insert(Clinic).values(clinic_id=event.clinic_id, time_zone=event.time_zone, active=event.active, version=event.clinic_version)
    taken = {name: given.excluded[name] for name in ("time_zone", "active", "version")}
    newer = col(Clinic.version) < given.excluded.version
    await db.execute(given.on_conflict_do_update(index_elements=["clinic_id"], set_=taken, where=newer))


async def note_patient(db: AsyncSession, event: PatientChanged) -> None:
    """Take over a patient's number and zone, and the status; each unless a newer one is known."""
    given = insert(Patient).values(
        clinic_id=clinic_of(db),
        patient_id=event.patient_id,
        patient_number=event.patient_number,
        time_zone=event.time_zone,
        version=event.patient_version,
        active=_spans(event.active),
        messages_allowed=event.messages_allowed,
        status=PatientStatus.ACTIVE,
        status_version=0,
    )
    taken = {name: given.excluded[name] for name in ("patient_number", "time_zone", "version", "active", "messages_allowed")}
    newer = col(Patient.version) < given.excluded.version
    await db.execute(given.on_conflict_do_update(index_elements=["clinic_id", "patient_id"], set_=taken, where=newer))
    await note_patient_status(db, event, PatientStatus(event.status), death_corrected=event.death_corrected)


async def note_patient_status(
    db: AsyncSession,
    event: PatientChanged | PatientDeceased | PatientWithdrawn,
    status: PatientStatus,
    *,
    death_corrected: int | None = None,
) -> None:
    """Take over a status, also of a patient of whom nothing else is known, unless a newer one is.

    A death stays, whatever is told later, for a producer that comes from a backup has forgotten it. It goes where the producer says that a
    death was declared entered in error with a later version than the one that is known.
    """
    parameters = {
        "clinic_id": clinic_of(db),
        "patient_id": event.patient_id,
        "status": status.value,
        "version": event.patient_version,
        "at": event.occurred_at,
        "death_corrected": death_corrected or 0,
    }
    await db.execute(statements.STATUS, parameters)


async def note_treatment_standing(db: AsyncSession, event: ConsentChanged) -> None:
    """Take over how a patient's consent to treatment stands, unless a newer decision is known.

    A signature dated by a clock ahead stands from when that was told, so that a revocation after it counts.
    """
    parameters = {
        "clinic_id": clinic_of(db),
        "patient_id": event.patient_id,
        "version": event.consent_standing,
        "standing": event.standing,
        "since": min(event.since, event.occurred_at),
        "until": event.until,
        "stood": json.dumps(_spans(event.stood)),
    }
    await db.execute(statements.TREATMENT, parameters)


async def note_treatment_signed(db: AsyncSession, patient_id: UUID, signed_at: datetime) -> None:
    """Know a signature under which treatment may go on."""
    parameters = {"clinic_id": clinic_of(db), "patient_id": patient_id, "at": signed_at}
    await db.execute(statements.SIGNED, parameters)


async def note_treatment_revoked(db: AsyncSession, patient_id: UUID, revoked_at: datetime) -> None:
    """Know a revocation; it takes back what was signed up to then. Only an intake of the release before tells it by itself."""
    parameters = {"clinic_id": clinic_of(db), "patient_id": patient_id, "at": revoked_at}
    await db.execute(statements.REVOKED, parameters)


async def note_course(db: AsyncSession, event: CourseChanged) -> None:
    """Take over a course's state unless a newer one is known."""
    parameters = {
        "clinic_id": clinic_of(db),
        "course_id": event.course_id,
        "patient_id": event.patient_id,
        "status": CourseStatus(event.status).value,
        "version": event.course_version,
        "ran": json.dumps(_spans(event.ran)) if event.ran is not None else None,
        "responsible": event.responsible_clinician_id,
        "therapist": event.therapist_id,
        "coordinator": event.coordinator_id,
    }
    await db.execute(statements.COURSE, parameters)


async def note_infusions(db: AsyncSession, events: Sequence[InfusionEvent]) -> dict[UUID, Noted]:
    """Take over what events say of infusions, in one statement; the patients are locked before.

    Returns those that are not older than what is known: an event that is told again counts, for something of its follow-up may be
    missing.
    """
    rows = [_row_of(event) for event in _newest(events)]
    noted = await statements.NOTE_INFUSIONS.rows(
        db, **arrays_of(statements.INFUSION | statements.OF_PATIENT, rows), clinic_id=clinic_of(db)
    )
    return {
        row["infusion_id"]: Noted(
            row["infusion_id"],
            row["patient_id"],
            starts=tuple(sorted({start for start in (row["started_before"], row["started_at"]) if start is not None})),
            news=row["news"],
        )
        for row in noted
    }


def _spans(told: Sequence[Span] | None) -> list[dict[str, Any]] | None:  # Any: JSON
    return None if told is None else [span.model_dump(mode="json") for span in told]


def _newest(events: Iterable[InfusionEvent]) -> list[InfusionEvent]:
    """The newest event of each infusion, in the order of ids."""
    of_infusion = {event.infusion_id: event for event in sorted(events, key=lambda event: event.infusion_version)}
    return [of_infusion[infusion_id] for infusion_id in sorted(of_infusion)]


def _row_of(event: InfusionEvent) -> dict[str, object]:
    ended = event if isinstance(event, EndedInfusionEvent) else None
    scheduled_at: datetime | None = getattr(event, "scheduled_at", None)
    started_at: datetime | None = getattr(event, "started_at", None)
    return {
        "infusion_id": event.infusion_id,
        "patient_id": event.patient_id,
        "course_id": event.course_id,
        "version": event.infusion_version,
        "state": InfusionState(event.state).value,
        "scheduled_at": scheduled_at,
        "started_at": started_at,
        "drug_given": ended.drug_given if ended else None,
        "pump_ended_at": ended.pump_ended_at if ended else None,
        "discharged_at": event.occurred_at if ended and not isinstance(event, InfusionAmended) else None,
        "patient_number": event.patient_number,
        "time_zone": event.patient_time_zone,
    }
