from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.clinics.models import Clinic
from shared.db import clinic_of, enter_clinic
from shared.errors import NotFound


async def get_clinic(db: AsyncSession, clinic_id: UUID, *, lock: bool = False) -> Clinic:
    """Go into a clinic from outside, as operators do, and read it. Raises NotFound."""
    await enter_clinic(db, clinic_id)
    clinic = await db.get(Clinic, clinic_id, with_for_update=lock or None)
    if clinic is None:
        raise NotFound
    return clinic


async def own_clinic(db: AsyncSession) -> Clinic:
    """The clinic of this transaction. Raises NotFound for a token of a clinic that is not registered here."""
    clinic = await db.get(Clinic, clinic_of(db))
    if clinic is None:
        raise NotFound
    return clinic
