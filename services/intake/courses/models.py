from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field

from services.intake.courses.rules import OPEN, STEPS, Cadence, CourseStatus, CourseStep
from services.intake.tables import Table, code_column
from shared.db import utc_column
from shared.errors import Conflict
from shared.events.intake import CourseChanged


def _care_team(column: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["clinic_id", column], ["practitioner.clinic_id", "practitioner.practitioner_id"], name=f"fk_course_practitioner_{column}"
    )


class Course(Table, table=True):
    """A planned series of infusions for one patient."""

    __tablename__ = "course"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patient.clinic_id", "patient.patient_id"]),
        _care_team("responsible_clinician_id"),
        _care_team("therapist_id"),
        _care_team("coordinator_id"),
        Index("ix_course_patient_id", "clinic_id", "patient_id"),
        Index(
            "uq_course_open_patient_id",
            "clinic_id",
            "patient_id",
            unique=True,
            postgresql_where=text("status IN ('active', 'on-hold')"),
        ),
    )

    clinic_id: UUID = Field(primary_key=True)
    course_id: UUID = Field(primary_key=True)
    patient_id: UUID
    status: CourseStatus = Field(default=CourseStatus.ACTIVE, sa_column=code_column(CourseStatus))
    status_changed_at: datetime = Field(sa_column=utc_column())
    status_changed_by: str
    status_reason: str | None = None
    protocol_code: str
    protocol_version: int
    planned_infusions: int
    cadence: Cadence = Field(sa_column=code_column(Cadence))
    responsible_clinician_id: UUID
    therapist_id: UUID | None = None
    coordinator_id: UUID | None = None
    version: int = 1
    started_at: datetime = Field(sa_column=utc_column())

    def take(self, step: CourseStep, reason: str | None, at: datetime, by: str) -> CourseChanged:
        """Hold, resume, stop or complete. Raises Conflict, naming the state and the possible steps, when it is not one of them."""
        if step not in STEPS[self.status]:
            raise self._refusal()
        self.status = STEPS[self.status][step]
        self.status_changed_at, self.status_changed_by, self.status_reason = at, by, reason
        self.version += 1
        return self.changed(at)

    def replan(self, at: datetime, **fields: object) -> CourseChanged:
        """Change the care team, the planned number or the cadence of a course that is open. Raises Conflict for an ended one."""
        if self.status not in OPEN:
            raise self._refusal()
        for name, value in fields.items():
            setattr(self, name, value)
        self.version += 1
        return self.changed(at)

    def changed(self, at: datetime) -> CourseChanged:
        """The whole current state; reasons stay here."""
        return CourseChanged(
            occurred_at=at,
            course_id=self.course_id,
            course_version=self.version,
            patient_id=self.patient_id,
            status=self.status,
            protocol_code=self.protocol_code,
            protocol_version=self.protocol_version,
            planned_infusions=self.planned_infusions,
            responsible_clinician_id=self.responsible_clinician_id,
            therapist_id=self.therapist_id,
            coordinator_id=self.coordinator_id,
        )

    def _refusal(self) -> Conflict:
        detail = "The course's state does not allow this."
        return Conflict("state", detail, extra={"state": self.status, "allowed": list(STEPS[self.status])})


class CourseChange(Table, table=True):
    """One step that a course took: when, by whom and why. Never changed."""

    __tablename__ = "course_change"
    __table_args__ = (ForeignKeyConstraint(["clinic_id", "course_id"], ["course.clinic_id", "course.course_id"]),)

    clinic_id: UUID = Field(primary_key=True)
    course_change_id: UUID = Field(primary_key=True)
    course_id: UUID
    step: CourseStep = Field(sa_column=code_column(CourseStep))
    changed_at: datetime = Field(sa_column=utc_column())
    changed_by: str
    reason: str | None = None
