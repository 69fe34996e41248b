from uuid import UUID, uuid4

from services.intake.practitioners.models import Practitioner
from services.intake.practitioners.queries import get_practitioner
from services.intake.practitioners.schemas import ChangePractitioner, RegisterPractitioner
from services.intake.refusals import refuse_nameless
from shared.outbox import emit
from shared.security.projection import upsert_practitioner
from shared.web import CallContext


async def register(call: CallContext, body: RegisterPractitioner) -> Practitioner:
    """Register a practitioner with roles, which count at once here and within a second elsewhere. Raises 422 without a name."""
    refuse_nameless(body.given_name, body.family_name)
    practitioner = Practitioner(clinic_id=call.clinic_id, practitioner_id=uuid4(), registered_at=call.now, **body.model_dump(mode="json"))
    call.db.add(practitioner)
    await _tell(call, practitioner)
    return practitioner


async def change(call: CallContext, practitioner_id: UUID, body: ChangePractitioner) -> Practitioner:
    """Change what was sent. Raises NotFound, and 428 or 412 for a missing or stale version."""
    practitioner = await get_practitioner(call.db, practitioner_id, lock=True)
    call.require_version(practitioner.version)
    for name, value in body.model_dump(mode="json", include=body.model_fields_set).items():
        setattr(practitioner, name, value)
    refuse_nameless(practitioner.given_name, practitioner.family_name)
    practitioner.version += 1
    await _tell(call, practitioner)
    return practitioner


async def _tell(call: CallContext, practitioner: Practitioner) -> None:
    changed = practitioner.changed(call.now)
    await upsert_practitioner(call.db, call.clinic_id, [changed])
    emit(call.db, changed)
