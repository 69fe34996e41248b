from collections.abc import Collection
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.patients.duplicates import refuse_duplicate
from services.intake.patients.likeness import KnownAs
from services.intake.patients.models import Patient, PatientChange
from services.intake.patients.queries import get_patient, recorded_withdrawal, untold_patients
from services.intake.patients.rules import Change, Channel, PatientStatus, RequestedBy, age_on, missing_address, patient_number
from services.intake.patients.schemas import ChangePatient, EnteredInError, OptIn, OptOut, RecordDeath, RecordWithdrawal, RegisterPatient
from services.intake.policy import Policy
from services.intake.refusals import refuse_nameless, refused
from shared.db import clinic_of
from shared.errors import Conflict, FieldError
from shared.events.registry import Event
from shared.outbox import emit
from shared.security.caller import Actor


class Known(NamedTuple):
    """A patient, and those who are so much like them that somebody had to say that they are others."""

    patient: Patient
    alike: Collection[UUID]


async def register(db: AsyncSession, actor: Actor, now: datetime, body: RegisterPatient, policy: Policy) -> Known:
    """Register a patient under the clinic's next number. Raises 422 for what cannot be, 409 under the minimum age and for somebody
    who may be there already.
    """
    refuse_nameless(body.given_name, body.family_name)
    _refuse_birth_date(body.birth_date, _today(now, body.time_zone), policy)
    _refuse_unreachable(body.preferred_channel, body.email, body.phone)
    patient = Patient(
        clinic_id=clinic_of(db),
        patient_id=uuid4(),
        patient_number=await _next_number(db),
        status_changed_at=now,
        status_changed_by=actor.name,
        registered_at=now,
        **_columns(body, set(RegisterPatient.model_fields)),
    )
    alike = await refuse_duplicate(db, actor, now, patient, body.duplicate_confirmation, policy)
    db.add(patient)
    emit(db, patient.changed(now))
    return Known(patient, alike)


async def change(db: AsyncSession, actor: Actor, now: datetime, patient_id: UUID, body: ChangePatient, policy: Policy) -> Known:
    """Change what was sent. Raises NotFound, 428 or 412 for the version, 409 after death, and as for a registration."""
    patient = await _locked(db, actor, patient_id)
    actor.require_version(patient.version)
    columns, before = _columns(body, body.model_fields_set), KnownAs.of(patient)
    changed = patient.correct(now, **columns)
    refuse_nameless(patient.given_name, patient.family_name)
    if "birth_date" in columns:
        _refuse_birth_date(patient.birth_date, _today(now, patient.time_zone), policy)
    if columns.keys() & {"preferred_channel", "email", "phone"}:
        _refuse_unreachable(patient.preferred_channel, patient.email, patient.phone)
    alike: Collection[UUID] = ()
    if KnownAs.of(patient) != before:
        alike = await refuse_duplicate(db, actor, now, patient, body.duplicate_confirmation, policy, before=before)
    emit(db, changed)
    return Known(patient, alike)


async def record_death(db: AsyncSession, actor: Actor, now: datetime, patient_id: UUID, body: RecordDeath) -> Patient:
    """From the commit of this on nothing is sent to the patient. Raises NotFound, 409 when it is recorded already."""
    patient = await _locked(db, actor, patient_id)
    died = patient.die(body.died_on, now, actor.name)
    if body.died_on is not None and not patient.birth_date <= body.died_on <= _today(now, patient.time_zone):
        raise refused(FieldError("/died_on", "time-out-of-range", "Allowed: from the birth date to today."))
    _record(db, actor, now, patient, Change.DEATH, died)
    return patient


async def record_withdrawal(db: AsyncSession, actor: Actor, now: datetime, patient_id: UUID, body: RecordWithdrawal) -> Patient:
    """The patient leaves the programme. Raises NotFound, 409 unless active."""
    patient = await _locked(db, actor, patient_id)
    withdrawn = patient.withdraw(now, actor.name)
    _record(db, actor, now, patient, Change.WITHDRAWAL, withdrawn, body.requested_by, body.reason)
    return patient


async def take_back(db: AsyncSession, actor: Actor, now: datetime, patient_id: UUID, mistake: Change, body: EnteredInError) -> Patient:
    """A death or a withdrawal was entered in error. Raises NotFound, 428 or 412 for the version, 409 where none is recorded."""
    patient = await _locked(db, actor, patient_id)
    actor.require_version(patient.version)
    patient.take_back(mistake, now, actor.name)
    _record(db, actor, now, patient, mistake, None, reason=body.reason)
    return patient


async def opt_out(db: AsyncSession, actor: Actor, now: datetime, patient_id: UUID, body: OptOut) -> Patient:
    """No more messages by machine; care goes on. Raises NotFound, 409 when it is so already."""
    patient = await _locked(db, actor, patient_id)
    patient.opt(Change.MESSAGE_OPT_OUT)
    _record(db, actor, now, patient, Change.MESSAGE_OPT_OUT, None, body.requested_by, body.reason)
    return patient


async def opt_in(db: AsyncSession, actor: Actor, now: datetime, patient_id: UUID, body: OptIn) -> Patient:
    """Take an opt-out back. Raises NotFound, 409 without one."""
    patient = await _locked(db, actor, patient_id)
    patient.opt(Change.MESSAGE_OPT_IN)
    _record(db, actor, now, patient, Change.MESSAGE_OPT_IN, None, body.requested_by)
    return patient


async def tell_untold(db: AsyncSession, now: datetime, limit: int) -> int:
    """Tell again, with when they were active, patients whose newest version a release before has told; returns how many were found."""
    found = await untold_patients(db, limit)
    for patient in found:
        await _recall_withdrawal(db, patient)
        emit(db, patient.tell_again(now))
    return len(found)


async def _locked(db: AsyncSession, actor: Actor, patient_id: UUID) -> Patient:
    patient = await get_patient(db, patient_id, lock=True)
    actor.expect_version(patient.version)
    await _recall_withdrawal(db, patient)
    return patient


async def _recall_withdrawal(db: AsyncSession, patient: Patient) -> None:
    """Take from the history when somebody left: a replica of the release before writes it nowhere else."""
    if patient.withdrawn_at is None and patient.status is not PatientStatus.ACTIVE:
        patient.withdrawn_at = await recorded_withdrawal(db, patient.patient_id)


def _record(
    db: AsyncSession,
    actor: Actor,
    now: datetime,
    patient: Patient,
    change: Change,
    event: Event | None,
    requested_by: RequestedBy | None = None,
    reason: str | None = None,
) -> None:
    """Keep who did it, when and why, and tell the others: the special event first, then the whole current state."""
    db.add(
        PatientChange(
            clinic_id=clinic_of(db),
            patient_change_id=uuid4(),
            patient_id=patient.patient_id,
            change=change,
            changed_at=now,
            changed_by=actor.name,
            requested_by=requested_by,
            reason=reason,
            died_on=patient.died_on if change is Change.DEATH else None,
        )
    )
    if event is not None:
        emit(db, event)
    emit(db, patient.changed(now))


def _today(now: datetime, time_zone: str) -> date:
    """The patient's local date."""
    return now.astimezone(ZoneInfo(time_zone)).date()


def _refuse_birth_date(birth_date: date, today: date, policy: Policy) -> None:
    if birth_date > today:
        raise refused(FieldError("/birth_date", "birth-date-in-future", "Allowed: up to today."))
    minimum = policy.minimum_age.years
    if age_on(birth_date, today) < minimum:
        raise Conflict("under-minimum-age", f"Patients are at least {minimum} years old.", extra={"minimum_age_years": minimum})


def _refuse_unreachable(channel: Channel, email: str | None, phone: str | None) -> None:
    missing = missing_address(channel, email=email, phone=phone)
    if missing is not None:
        raise refused(FieldError(f"/{missing}", "required", "Is needed for the preferred channel."))


def _columns(body: RegisterPatient | ChangePatient, sent: Collection[str]) -> dict[str, Any]:  # Any: values of columns
    """The sent members as columns; contact flags are columns of their own, the emergency contact is one document."""
    columns: dict[str, Any] = {name: getattr(body, name) for name in sent if name != "duplicate_confirmation"}
    if "safe_contact" in columns:
        columns |= columns.pop("safe_contact").model_dump()
    if columns.get("emergency_contact") is not None:
        columns["emergency_contact"] = columns["emergency_contact"].model_dump(mode="json")
    return columns


async def _next_number(db: AsyncSession) -> str:
    return patient_number((await db.execute(_NEXT_NUMBER, {"clinic_id": clinic_of(db)})).scalar_one())


_NEXT_NUMBER = text(
    """
    INSERT INTO patient_counter AS counter (clinic_id, last_number) VALUES (:clinic_id, 1)
    ON CONFLICT (clinic_id) DO UPDATE SET last_number = counter.last_number + 1
    RETURNING last_number
    """
)
