"""Reading vital signs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.vitals.models import READINGS, VitalSigns
from shared.db import clinic_of


async def last_readings(db: AsyncSession, infusion_id: UUID, since: datetime, until: datetime) -> dict[str, int | None]:
    """The last value of each reading taken in that time, both ends inside; None where there is none."""
    rows = await db.scalars(
        select(VitalSigns)
        .where(
            col(VitalSigns.clinic_id) == clinic_of(db),
            col(VitalSigns.infusion_id) == infusion_id,
            col(VitalSigns.measured_at).between(since, until),
        )
        .order_by(col(VitalSigns.measured_at), col(VitalSigns.recorded_at))
    )
    last: dict[str, int | None] = dict.fromkeys(READINGS)
    for signs in rows:
        last |= {name: value for name in READINGS if (value := getattr(signs, name)) is not None}
    return last


def vital_signs_of(clinic_id: UUID, infusion_id: UUID) -> Select[VitalSigns]:
    """All readings of an infusion, by the moment they were taken."""
    query = select(VitalSigns).where(col(VitalSigns.clinic_id) == clinic_id, col(VitalSigns.infusion_id) == infusion_id)
    return query.order_by(col(VitalSigns.measured_at), col(VitalSigns.vital_signs_id))
