"""Vital signs: one row for each set of readings taken at one moment, never changed afterwards."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from services.sessions.tables import Table
from shared.db import utc_column


class VitalSigns(Table, table=True):
    """Readings of one moment; what was not taken is None. Every column carries its unit."""

    __tablename__ = "vital_signs"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "infusion_id"], ["infusion.clinic_id", "infusion.infusion_id"]),
        Index("ix_vital_signs_infusion", "clinic_id", "infusion_id", "measured_at", "vital_signs_id"),
    )

    clinic_id: UUID = Field(primary_key=True)
    vital_signs_id: UUID = Field(primary_key=True, default_factory=uuid4)
    infusion_id: UUID
    measured_at: datetime = Field(sa_column=utc_column())
    recorded_at: datetime = Field(sa_column=utc_column())
    actor: str
    systolic_mmhg: int | None = None
    diastolic_mmhg: int | None = None
    heart_rate_per_min: int | None = None
    spo2_percent: int | None = None
    respiratory_rate_per_min: int | None = None
    moaa_s_score: int | None = None
    """Modified Observer's Assessment of Alertness/Sedation: 5 responds readily to the name, 0 does not respond."""


READINGS = ("systolic_mmhg", "diastolic_mmhg", "heart_rate_per_min", "spo2_percent", "respiratory_rate_per_min", "moaa_s_score")
"""The columns that are readings."""
