"""Projections: what events have said of clinics, patients, consents and courses.

None of them refers to another by foreign key: facts may arrive in any order, and each one stands for itself.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Column, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.sessions.subjects.rules import stood_at
from services.sessions.tables import Table
from shared.db import utc_column
from shared.events.intake import Span

SPANS = TypeAdapter(list[Span])
"""How spans are kept: as an event writes them."""


def _spans_column(*, nullable: bool = True) -> Column[Any]:  # Any: JSON
    return Column(JSONB(none_as_null=True), nullable=nullable)


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
    number and zone without waking the dead. When the patient was active is known as of ``active_version``: a newer status makes it old.
    """

    clinic_id: UUID = Field(primary_key=True)
    patient_id: UUID = Field(primary_key=True)
    patient_number: str | None
    time_zone: str | None
    version: int
    status: str
    status_version: int
    active: list[dict[str, Any]] | None = Field(default=None, sa_column=_spans_column())  # Any: JSON of ``SPANS``
    active_version: int = Field(default=0, sa_column_kwargs={"server_default": "0"})

    def was_active(self, at: datetime) -> bool:
        """Whether the patient was alive and in the programme at that moment. Where that was not told, the status of today counts."""
        if self.active is None or self.active_version < max(self.version, self.status_version):
            return self.status == PatientStatus.ACTIVE
        return stood_at(SPANS.validate_python(self.active), at)


class Consent(Table, table=True):
    """One signature, valid from ``signed_at`` to ``valid_until`` inclusive, unless revoked before.

    The signature counts only for a patient of whom no ``ConsentStanding`` was told, by an intake of the release before; a revocation counts
    also where it comes after what was told.
    """

    __table_args__ = (Index("ix_consent_patient", "clinic_id", "patient_id"),)

    clinic_id: UUID = Field(primary_key=True)
    consent_id: UUID = Field(primary_key=True)
    patient_id: UUID
    consent_type: str
    signed_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    valid_until: datetime | None = Field(sa_column=utc_column(nullable=True))
    revoked_at: datetime | None = Field(sa_column=utc_column(nullable=True))


class ConsentStanding(Table, table=True):
    """Whether a patient's consent of one type stands and when it stood, as intake decided it."""

    __tablename__ = "consent_standing"

    clinic_id: UUID = Field(primary_key=True)
    patient_id: UUID = Field(primary_key=True)
    consent_type: str = Field(primary_key=True)
    version: int
    standing: str
    since: datetime = Field(sa_column=utc_column())
    until: datetime | None = Field(sa_column=utc_column(nullable=True))
    stood: list[dict[str, Any]] = Field(sa_column=_spans_column(nullable=False))  # Any: JSON of ``SPANS``


class Course(Table, table=True):
    """A course of infusions: its protocol, whether it runs, and who looks after it. When it ran is known as of ``ran_version``."""

    clinic_id: UUID = Field(primary_key=True)
    course_id: UUID = Field(primary_key=True)
    patient_id: UUID
    status: str
    protocol_code: str
    protocol_version: int
    therapist_id: UUID | None
    coordinator_id: UUID | None
    version: int
    ran: list[dict[str, Any]] | None = Field(default=None, sa_column=_spans_column())  # Any: JSON of ``SPANS``
    ran_version: int = Field(default=0, sa_column_kwargs={"server_default": "0"})

    def ran_at(self, at: datetime) -> bool:
        """Whether an infusion could be started under it at that moment. Where that was not told, the status of today counts."""
        if self.ran is None or self.ran_version < self.version:
            return self.status == CourseStatus.ACTIVE
        return stood_at(SPANS.validate_python(self.ran), at)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom one infusion is about: the patient and the course, as known in this transaction."""

    patient: Patient
    course: Course
