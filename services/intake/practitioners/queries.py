from collections.abc import Collection
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.practitioners.models import Practitioner
from shared.db import clinic_of
from shared.errors import NotFound


async def get_practitioner(db: AsyncSession, practitioner_id: UUID, *, lock: bool = False) -> Practitioner:
    """One practitioner of this clinic. Raises NotFound."""
    practitioner = await db.get(Practitioner, (clinic_of(db), practitioner_id), with_for_update=lock or None)
    if practitioner is None:
        raise NotFound
    return practitioner


async def find_practitioners(db: AsyncSession, practitioner_ids: Collection[UUID]) -> dict[UUID, Practitioner]:
    """Those of the ids that are practitioners of this clinic, in one statement."""
    statement = select(Practitioner).where(Practitioner.clinic_id == clinic_of(db), col(Practitioner.practitioner_id).in_(practitioner_ids))
    return {practitioner.practitioner_id: practitioner for practitioner in await db.exec(statement)}
