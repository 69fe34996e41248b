"""Projections: what events have said of clinics, patients and courses.

Facts arrive in any order, so a patient or course may be known by its id alone until its description comes; nothing here refers to
anything else by foreign key, and every fact has its own version or time that keeps an older one from replacing it.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

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
    status: PatientStatus = Field(sa_column=code_column(PatientStatus))
    status_version: int
    treatment_signed_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    treatment_revoked_at: datetime | None = Field(sa_column=utc_column(nullable=True))


class Course(Table, table=True):
    """A course of infusions: whether it runs."""

    __tablename__ = "course"

    clinic_id: UUID = Field(primary_key=True)
    course_id: UUID = Field(primary_key=True)
    patient_id: UUID
    status: CourseStatus = Field(sa_column=code_column(CourseStatus))
    version: int
