"""Projections: what events have said of clinics, patients, consents and courses.

None of them refers to another by foreign key: facts may arrive in any order, and each one stands for itself.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field

from services.sessions.tables import Table
from shared.db import utc_column


class PatientStatus(StrEnum):
    """As intake says it."""

    ACTIVE = "active"
    WITHDRAWN = "withdrawn"
    DECEASED = "deceased"


class CourseStatus(StrEnum):
    """As intake says it."""

    ACTIVE = "active"
    ON_HOLD = "on-hold"
    STOPPED = "stopped"
    COMPLETED = "completed"


TREATMENT = "treatment"
"""The consent type without which no infusion starts."""


class Clinic(Table, table=True):
    """A clinic's zone, in which its own days are counted."""

    clinic_id: UUID = Field(primary_key=True)
    time_zone: str
    active: bool
    version: int


class Patient(Table, table=True):
    """A patient without a name. Number and zone are unknown while only a death or a withdrawal has been heard of.

    The status has a version of its own: a death counts from its event on, and an older description that comes later still adds
    number and zone without waking the dead.
    """

    clinic_id: UUID = Field(primary_key=True)
    patient_id: UUID = Field(primary_key=True)
    patient_number: str | None
    time_zone: str | None
    version: int
    status: str
    status_version: int


class Consent(Table, table=True):
    """One signature: valid from ``signed_at`` to ``valid_until`` inclusive, unless revoked before. A consent never changes otherwise."""

    __table_args__ = (Index("ix_consent_patient", "clinic_id", "patient_id"),)

    clinic_id: UUID = Field(primary_key=True)
    consent_id: UUID = Field(primary_key=True)
    patient_id: UUID
    consent_type: str
    signed_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    valid_until: datetime | None = Field(sa_column=utc_column(nullable=True))
    revoked_at: datetime | None = Field(sa_column=utc_column(nullable=True))


class Course(Table, table=True):
    """A course of infusions: its protocol, whether it runs, and who looks after it."""

    clinic_id: UUID = Field(primary_key=True)
    course_id: UUID = Field(primary_key=True)
    patient_id: UUID
    status: str
    protocol_code: str
    protocol_version: int
    therapist_id: UUID | None
    coordinator_id: UUID | None
    version: int


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom one infusion is about: the patient and the course, as known in this transaction."""

    patient: Patient
    course: Course
