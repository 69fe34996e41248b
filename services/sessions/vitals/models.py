"""Vital signs: one row for each set of readings taken at one moment. What was read never changes; it can be struck, once."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Column, ForeignKeyConstraint, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.sessions.tables import Table
from services.sessions.vitals.limits import READINGS
from shared.db import utc_column
from shared.errors import Conflict


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
    limits_version: int | None = None
    """Of the limits by which it was judged when it was saved, and what they marked. None for what a release before saved: its default."""
    marks: list[dict[str, str]] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True))
    struck_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    """When it was struck as entered in error, by whom and why. It stays readable; what it holds, ``rules.holding`` says."""
    struck_by: str | None = None
    struck_reason: str | None = None

    @property
    def version(self) -> int:
        """1 as saved, 2 once struck."""
        return 1 if self.struck_at is None else 2

    def readings(self) -> dict[str, int | None]:
        """What was read, by name."""
        return {name: getattr(self, name) for name in READINGS}

    def strike(self, *, actor: str, reason: str, at: datetime) -> None:
        """Say that these were never this patient's readings. Raises 409 already-struck."""
        if self.struck_at is not None:
            raise Conflict("already-struck", "These readings are struck already.")
        self.struck_at, self.struck_by, self.struck_reason = at, actor, reason
