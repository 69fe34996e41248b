"""By how many ways messages have gone to a patient, as intake counts them; the ways themselves are known there only."""

from uuid import UUID

from sqlalchemy import text
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.subjects.models import Patient
from shared.db import clinic_of


async def note_contact(db: AsyncSession, patient_id: UUID, contact_version: int) -> None:
    """Know of this way, unless a newer one is known."""
    await db.execute(_CONTACT, {"clinic_id": clinic_of(db), "patient_id": patient_id, "version": contact_version})


async def contact_version_of(db: AsyncSession, patient_id: UUID) -> int:
    """The newest way by which messages go to a patient, as far as events have said."""
    query = select(Patient.contact_version).where(Patient.clinic_id == clinic_of(db), Patient.patient_id == patient_id)
    return (await db.exec(query)).one()


_CONTACT = text(
    """
    UPDATE patient SET contact_version = :version
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = CAST(:patient_id AS uuid) AND contact_version < :version
    """
)
