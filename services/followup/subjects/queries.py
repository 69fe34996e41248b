"""Looking up what is known of a clinic."""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.subjects.models import Clinic
from shared.db import clinic_of


async def clinic_active(db: AsyncSession) -> bool:
    """Whether the clinic of this transaction takes part; True as long as nothing was heard of it."""
    return (await db.exec(select(Clinic.active).where(col(Clinic.clinic_id) == clinic_of(db)))).first() is not False
