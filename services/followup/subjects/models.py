"""Projections: what events have said of clinics, patients, courses and infusions.

Facts arrive in any order, so a patient or course may be known by its id alone until its description comes; an infusion's
patient is locked before it is noted, and so known. Every fact has its own version or time that keeps an older one from replacing it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ForeignKeyConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.followup.tables import Table, code_column
from shared.db import utc_column


class PatientStatus(StrEnum):
    """As intake says it; active until something else is heard."""

    ACTIVE = "active"
    WITHDRAWN = "withdrawn"
    DECEASED = "deceased"


class CourseStatus(StrEnum):
    """As intake says it; active until something else is heard."""

    ACTIVE = "active"
    ON_HOLD = "on-hold"
    STOPPED = "stopped"
    COMPLETED = "completed"


ENDED_COURSE = frozenset({CourseStatus.STOPPED, CourseStatus.COMPLETED})


class Clinic(Table, table=True):
    """A clinic's zone, in which business days are counted."""

    __tablename__ = "clinic"

    clinic_id: UUID = Field(primary_key=True)
    time_zone: str
    active: bool
    version: int


class Patient(Table, table=True):
    """A patient without a name. Every change of follow-up work locks this row first, so that facts from two topics meet one by one."""

    __tablename__ = "patient"

    clinic_id: UUID = Field(primary_key=True)
    patient_id: UUID = Field(primary_key=True)
    patient_number: str | None
    time_zone: str | None
    version: int
    active: list[dict[str, Any]] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))  # Any: JSON of spans
    """When the patient was alive and in the programme, as intake told it last; None where it did not tell."""
    messages_allowed: bool | None = None
    """As it was told last; None where nothing was."""
    status: PatientStatus = Field(sa_column=code_column(PatientStatus))
    status_version: int
    status_since: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    """Since when the patient is active, or is not, from one cause after another; None while nothing was heard but that they are."""
    left_version: int | None = None
    """With which version the patient left; it stays through a death, and goes when the patient is active again."""
    contact_version: int = 1
    """The newest way by which messages go, counted; the way itself is at intake only."""
    treatment_signed_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    treatment_revoked_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    """The latest that was heard of; it counts also where it comes after ``treatment_since``. The signature above counts only for a patient
    of whom no standing was told, by an intake of the release before.
    """
    treatment_version: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Of what was told last of how consent to treatment stands; 0 where nothing was."""
    revoked_version: int | None = None
    """Of what told first that none stands any more; None while one does."""
    treatment_standing: str | None = None
    treatment_since: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    treatment_until: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    treatment_stood: list[dict[str, Any]] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))  # Any: JSON of spans


class Course(Table, table=True):
    """A course of infusions: whether it runs, and its care team."""

    __tablename__ = "course"
    __table_args__ = (Index("ix_course_patient", "clinic_id", "patient_id"),)

    clinic_id: UUID = Field(primary_key=True)
    course_id: UUID = Field(primary_key=True)
    patient_id: UUID
    status: CourseStatus = Field(sa_column=code_column(CourseStatus))
    version: int
    ran: list[dict[str, Any]] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))  # Any: JSON of spans
    """When infusions could be started under it, as intake told it last; None where it did not tell."""
    responsible_clinician_id: UUID | None = None
    """None where nothing was told of the care team since it is known here."""
    therapist_id: UUID | None = None
    coordinator_id: UUID | None = None


class InfusionState(StrEnum):
    """What the newest event about an infusion said."""

    SCHEDULED = "scheduled"
    STARTED = "started"
    COMPLETED = "completed"
    STOPPED_EARLY = "stopped-early"
    LEFT_AGAINST_ADVICE = "left-against-advice"
    TRANSFERRED = "transferred"
    NOT_DONE = "not-done"
    NO_SHOW = "no-show"
    CANCELLED = "cancelled"
    ENTERED_IN_ERROR = "entered-in-error"


WHERE_COUNTS = "started_at IS NOT NULL AND drug_given IS NOT FALSE AND state <> 'entered-in-error'"
"""An infusion to which a check-in of the one before gives way. As SQL, for it must read like the index."""
WHERE_GIVEN = "drug_given AND pump_ended_at IS NOT NULL AND state <> 'entered-in-error'"
"""An infusion that gave drug."""
WHERE_UNTRUE = "drug_given AND state = 'entered-in-error'"
"""One that was to have given drug, whose record should never have existed."""


class Infusion(Table, table=True):
    """The newest that is known of an infusion. ``version`` is the record's at sessions: what is older changes nothing."""

    __tablename__ = "infusion"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patient.clinic_id", "patient.patient_id"]),
        Index("ix_infusion_patient", "clinic_id", "patient_id"),
        # Of a patient's infusions the one before, the one after and the last are looked up one by one, however many there are.
        Index("ix_infusion_counts", "clinic_id", "patient_id", "started_at", postgresql_where=text(WHERE_COUNTS)),
        Index("ix_infusion_given_in_course", "clinic_id", "course_id", "pump_ended_at", "infusion_id", postgresql_where=text(WHERE_GIVEN)),
        Index("ix_infusion_untrue", "clinic_id", "course_id", postgresql_where=text(WHERE_UNTRUE)),
        Index("ix_infusion_given", "clinic_id", "patient_id", "pump_ended_at", "infusion_id", postgresql_where=text(WHERE_GIVEN)),
    )

    clinic_id: UUID = Field(primary_key=True)
    infusion_id: UUID = Field(primary_key=True)
    patient_id: UUID
    course_id: UUID
    version: int
    state: InfusionState = Field(sa_column=code_column(InfusionState))
    scheduled_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    started_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    drug_given: bool | None
    pump_ended_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    discharged_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    """When the patient was discharged, left or was taken over; None where only a correction has told of its end."""
