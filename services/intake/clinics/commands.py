from datetime import datetime
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.clinics.models import Clinic, ClinicEntry
from services.intake.clinics.queries import get_clinic
from services.intake.clinics.schemas import ChangeClinic, RegisterClinic
from shared.db import enter_clinic
from shared.outbox import emit
from shared.security.caller import Actor


async def register(db: AsyncSession, now: datetime, body: RegisterClinic) -> Clinic:
    """Register a clinic; the operator's transaction goes into it."""
    clinic = Clinic(clinic_id=uuid4(), registered_at=now, **body.model_dump())
    await enter_clinic(db, clinic.clinic_id)
    db.add(clinic)
    db.add(ClinicEntry(clinic_id=clinic.clinic_id, name=clinic.name, registered_at=now))
    emit(db, clinic.changed(now))
    return clinic


async def change(db: AsyncSession, actor: Actor, now: datetime, clinic_id: UUID, body: ChangeClinic) -> Clinic:
    """Change what was sent. Raises NotFound, and 428 or 412 for a missing or stale version."""
    clinic = await get_clinic(db, clinic_id, lock=True)
    actor.require_version(clinic.version)
    for name in body.model_fields_set:
        setattr(clinic, name, getattr(body, name))
    clinic.version += 1
    entry = await db.get_one(ClinicEntry, clinic_id)
    entry.name, entry.active = clinic.name, clinic.active
    emit(db, clinic.changed(now))
    return clinic
