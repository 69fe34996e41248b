from uuid import UUID, uuid4

from services.intake.clinics.models import Clinic, ClinicEntry
from services.intake.clinics.queries import get_clinic
from services.intake.clinics.schemas import ChangeClinic, RegisterClinic
from shared.db import enter_clinic
from shared.outbox import emit
from shared.web import CallContext


async def register(call: CallContext, body: RegisterClinic) -> Clinic:
    """Register a clinic; the operator's transaction goes into it."""
    clinic = Clinic(clinic_id=uuid4(), registered_at=call.now, **body.model_dump())
    await enter_clinic(call.db, clinic.clinic_id)
    call.db.add(clinic)
    call.db.add(ClinicEntry(clinic_id=clinic.clinic_id, name=clinic.name, registered_at=call.now))
    emit(call.db, clinic.changed(call.now))
    return clinic


async def change(call: CallContext, clinic_id: UUID, body: ChangeClinic) -> Clinic:
    """Change what was sent. Raises NotFound, and 428 or 412 for a missing or stale version."""
    clinic = await get_clinic(call.db, clinic_id, lock=True)
    call.require_version(clinic.version)
    for name in body.model_fields_set:
        setattr(clinic, name, getattr(body, name))
    clinic.version += 1
    entry = await call.db.get_one(ClinicEntry, clinic_id)
    entry.name, entry.active = clinic.name, clinic.active
    emit(call.db, clinic.changed(call.now))
    return clinic
