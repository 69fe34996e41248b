"""Reading the audit trail."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Uuid, cast, or_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from shared.trail.models import TrailEntry


def trail(
    clinic_id: UUID, *, patient_id: UUID | None, practitioner_id: UUID | None, since: datetime | None, until: datetime | None
) -> SelectOfScalar[TrailEntry]:
    """Rows of a clinic, the newest first; a patient's are those about them, and the lists on which they were."""
    found = select(TrailEntry).where(TrailEntry.clinic_id == clinic_id)
    if patient_id is not None:
        listed = col(TrailEntry.patient_ids).op("@>")(cast([patient_id], ARRAY(Uuid)))
        found = found.where(or_(col(TrailEntry.patient_id) == patient_id, listed))
    if practitioner_id is not None:
        found = found.where(TrailEntry.practitioner_id == practitioner_id)
    if since is not None:
        found = found.where(TrailEntry.recorded_at >= since)
    if until is not None:
        found = found.where(TrailEntry.recorded_at < until)
    return found.order_by(col(TrailEntry.recorded_at).desc(), col(TrailEntry.audit_event_id))
