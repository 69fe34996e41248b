from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.patients.models import DistinctPatients, Patient, PatientChange
from services.intake.patients.rules import Change
from services.intake.refusals import unknown_reference
from shared.db import clinic_of
from shared.errors import NotFound


async def find_patient(db: AsyncSession, patient_id: UUID, *, lock: bool = False) -> Patient | None:
    """One patient of this clinic, or None."""
    return await db.get(Patient, (clinic_of(db), patient_id), with_for_update=lock or None)


async def get_patient(db: AsyncSession, patient_id: UUID, *, lock: bool = False) -> Patient:
    """One patient of this clinic, named in a path. Raises NotFound."""
    patient = await find_patient(db, patient_id, lock=lock)
    if patient is None:
        raise NotFound
    return patient


async def referenced_patient(db: AsyncSession, patient_id: UUID, *, lock: bool = False) -> Patient:
    """One patient of this clinic, named in a body. Raises Invalid (422 reference-not-found)."""
    patient = await find_patient(db, patient_id, lock=lock)
    if patient is None:
        raise unknown_reference("/patient_id")
    return patient


async def find_patients(db: AsyncSession, patient_ids: Collection[UUID]) -> list[Patient]:
    """Those of the ids that are patients of this clinic, in one statement."""
    statement = select(Patient).where(Patient.clinic_id == clinic_of(db), col(Patient.patient_id).in_(set(patient_ids)))
    return list(await db.exec(statement))


async def patients_born_on(db: AsyncSession, birth_date: date) -> list[Patient]:
    """All patients of this clinic with this birth date, whatever their status, in the order of their numbers."""
    statement = select(Patient).where(Patient.clinic_id == clinic_of(db), Patient.birth_date == birth_date)
    return list(await db.exec(statement.order_by(col(Patient.patient_number))))


async def distinct_from(db: AsyncSession, patient_id: UUID) -> set[UUID]:
    """Whom somebody has told apart from this patient."""
    pair = col(DistinctPatients.patient_id), col(DistinctPatients.other_patient_id)
    statement = select(*pair).where(DistinctPatients.clinic_id == clinic_of(db), or_(*(one == patient_id for one in pair)))
    return {one for found in await db.exec(statement) for one in found} - {patient_id}


async def untold_patients(db: AsyncSession, limit: int) -> list[Patient]:
    """Some of those whose newest version a release before has told, without when they were active, locked."""
    untold = select(Patient).where(Patient.clinic_id == clinic_of(db), col(Patient.told_version).is_distinct_from(col(Patient.version)))
    return list(await db.exec(untold.order_by(col(Patient.patient_id)).limit(limit).with_for_update()))


async def recorded_withdrawal(db: AsyncSession, patient_id: UUID) -> datetime | None:
    """When the withdrawal was recorded that was not declared entered in error since, by the history; None where there is none."""
    withdrawal = col(PatientChange.change).in_([Change.WITHDRAWAL, Change.WITHDRAWAL_ENTERED_IN_ERROR])
    history = select(PatientChange).where(PatientChange.clinic_id == clinic_of(db), PatientChange.patient_id == patient_id, withdrawal)
    last = (await db.exec(history.order_by(col(PatientChange.changed_at).desc()).limit(1))).first()
    return last.changed_at if last is not None and last.change is Change.WITHDRAWAL else None
