"""Reading the versions of a record."""

from uuid import UUID

from sqlalchemy import Select, select
from sqlmodel import col

from services.sessions.infusions.records import InfusionVersion


def versions_of(clinic_id: UUID, infusion_id: UUID) -> Select[InfusionVersion]:
    """All versions of an infusion, the first one first."""
    query = select(InfusionVersion).where(col(InfusionVersion.clinic_id) == clinic_id, col(InfusionVersion.infusion_id) == infusion_id)
    return query.order_by(col(InfusionVersion.version))
