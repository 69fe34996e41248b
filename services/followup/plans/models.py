"""The plan that follows each infusion, and the weeks of a course."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from services.followup.plans.slots import EndedInfusion, InfusionOutcome
from services.followup.tables import Table, code_column
from shared.db import utc_column


class PlanStatus(StrEnum):
    """FHIR CarePlan.status, as far as it is used here."""

    ACTIVE = "active"
    REVOKED = "revoked"
    ENTERED_IN_ERROR = "entered-in-error"


class Plan(Table, table=True):
    """The follow-up of one infusion with drug given, and the facts that it was derived from. One per infusion, for ever."""

    __tablename__ = "plan"
    __table_args__ = (
        UniqueConstraint("clinic_id", "infusion_id", name="uq_plan_infusion"),
        ForeignKeyConstraint(["clinic_id", "infusion_id"], ["infusion.clinic_id", "infusion.infusion_id"]),
        Index("ix_plan_patient", "clinic_id", "patient_id", "pump_ended_at", "plan_id"),
        Index("ix_plan_active", "clinic_id", "patient_id", "pump_ended_at", postgresql_where=text("status = 'active'")),
        Index("ix_plan_ended", "clinic_id", "pump_ended_at", "plan_id"),
    )

    clinic_id: UUID = Field(primary_key=True)
    plan_id: UUID = Field(primary_key=True)
    infusion_id: UUID
    infusion_version: int
    patient_id: UUID
    patient_number: str
    patient_time_zone: str
    course_id: UUID
    protocol_code: str
    protocol_version: int
    """The protocol that was applied; what exists keeps it."""
    asked_protocol: str | None
    """What the course asked for, where it is not known here and the default was applied."""
    outcome: InfusionOutcome = Field(sa_column=code_column(InfusionOutcome))
    started_at: datetime = Field(sa_column=utc_column())
    pump_ended_at: datetime = Field(sa_column=utc_column())
    discharged_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    first_of_course: bool
    therapist_id: UUID | None
    coordinator_id: UUID | None
    status: PlanStatus = Field(sa_column=code_column(PlanStatus))
    status_reason: str | None
    generation: int
    """How often follow-up was begun anew: after the dose was corrected to 0 and back."""
    version: int
    made_at: datetime = Field(sa_column=utc_column())
    changed_at: datetime = Field(sa_column=utc_column())

    def take_over(self, infusion: EndedInfusion, infusion_version: int, first_of_course: bool, now: datetime) -> None:
        """Follow corrected facts. The protocol stays."""
        self.infusion_version, self.first_of_course = infusion_version, first_of_course
        self.patient_time_zone, self.outcome = infusion.zone.key, infusion.outcome
        self.started_at, self.pump_ended_at, self.discharged_at = infusion.started_at, infusion.pump_ended_at, infusion.discharged_at
        self.therapist_id, self.coordinator_id = infusion.therapist_id, infusion.coordinator_id
        self._changed(now)

    def revoke(self, reason: str, now: datetime) -> None:
        """Nothing of it goes on; ``reason`` is a code."""
        self.status, self.status_reason = PlanStatus.REVOKED, reason
        self._changed(now)

    def _changed(self, now: datetime) -> None:
        self.changed_at = now
        self.version += 1


class WeeklySeries(Table, table=True):
    """The weekly check-ins of a course: from which day they are counted, for whom, and by which infusion that is known."""

    __tablename__ = "weekly_series"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "infusion_id"], ["infusion.clinic_id", "infusion.infusion_id"]),
        Index("ix_weekly_series_infusion", "clinic_id", "infusion_id"),
    )

    clinic_id: UUID = Field(primary_key=True)
    course_id: UUID = Field(primary_key=True)
    infusion_id: UUID
    patient_id: UUID
    patient_number: str
    patient_time_zone: str
    protocol_code: str
    protocol_version: int
    day_0: date
    begun_at: datetime = Field(sa_column=utc_column())
    """When we heard of it: weeks that were over by then are not asked about."""
    next_week: int
    """The week whose timer is armed."""
    active: bool
    """False once the infusion that began it turned out to have given nothing, or never to have been."""


class AnchorPin(Table, table=True):
    """By which protocol what hangs on an infusion, a course or a departure is followed, since it was first followed."""

    __tablename__ = "anchor_pin"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patient.clinic_id", "patient.patient_id"]),
        Index("ix_anchor_pin_patient", "clinic_id", "patient_id"),
    )

    clinic_id: UUID = Field(primary_key=True)
    anchor_id: UUID = Field(primary_key=True)
    patient_id: UUID
    protocol_code: str
    protocol_version: int
    pinned_at: datetime = Field(sa_column=utc_column())
