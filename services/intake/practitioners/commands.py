from datetime import datetime
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.practitioners.models import Practitioner
from services.intake.practitioners.queries import get_practitioner
from services.intake.practitioners.schemas import ChangePractitioner, RegisterPractitioner
from services.intake.refusals import refuse_nameless
from shared.db import clinic_of
from shared.outbox import emit
from shared.security.caller import Actor
from shared.security.projection import upsert_practitioner


async def register(db: AsyncSession, now: datetime, body: RegisterPractitioner) -> Practitioner:
    """Register a practitioner with roles, which count at once here and within a second elsewhere. Raises 422 without a name."""
    refuse_nameless(body.given_name, body.family_name)
    practitioner = Practitioner(clinic_id=clinic_of(db), practitioner_id=uuid4(), registered_at=now, **body.model_dump(mode="json"))
    db.add(practitioner)
    await _tell(db, now, practitioner)
    return practitioner


async def change(db: AsyncSession, actor: Actor, now: datetime, practitioner_id: UUID, body: ChangePractitioner) -> Practitioner:
    """Change what was sent. Raises NotFound, and 428 or 412 for a missing or stale version."""
    practitioner = await get_practitioner(db, practitioner_id, lock=True)
    actor.require_version(practitioner.version)
    for name, value in body.model_dump(mode="json", include=body.model_fields_set).items():
        setattr(practitioner, name, value)
    refuse_nameless(practitioner.given_name, practitioner.family_name)
    practitioner.version += 1
    await _tell(db, now, practitioner)
    return practitioner


async def _tell(db: AsyncSession, now: datetime, practitioner: Practitioner) -> None:
    changed = practitioner.changed(now)
    await upsert_practitioner(db, clinic_of(db), [changed])
    emit(db, changed)
