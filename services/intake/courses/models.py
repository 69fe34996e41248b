from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field

from services.intake.courses.rules import OPEN, STEPS, Cadence, CourseStatus, CourseStep, ran
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
        Index("ix_course_untold", "clinic_id", "course_id", postgresql_where=text("told_version IS DISTINCT FROM version")),
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
    told_version: int | None = None
    """The version that was told last by a release that tells ``ran``. Another one was made by a release before, and is told again."""
    started_at: datetime = Field(sa_column=utc_column())

    def take(self, step: CourseStep, reason: str | None, at: datetime, by: str) -> "CourseChange":
        """Hold, resume, stop or complete. Raises Conflict, naming the state and the possible steps, when it is not one of them."""
        if step not in STEPS[self.status]:
            raise self._refusal()
        self.status = STEPS[self.status][step]
        self.status_changed_at, self.status_changed_by, self.status_reason = at, by, reason
        self.version += 1
        return CourseChange(
            clinic_id=self.clinic_id,
            course_change_id=uuid4(),
            course_id=self.course_id,
            course_version=self.version,
            step=step,
            changed_at=at,
            changed_by=by,
            reason=reason,
        )

    def replan(self, **fields: object) -> None:
        """Change the care team, the planned number or the cadence of a course that is open. Raises Conflict for an ended one."""
        if self.status not in OPEN:
            raise self._refusal()
        for name, value in fields.items():
            setattr(self, name, value)
        self.version += 1

    def changed(self, at: datetime, taken: "Sequence[CourseChange]") -> CourseChanged:
        """The whole current state, with when it ran by the steps that it took, in their order; reasons stay here. This version counts as
        told.
        """
        self.told_version = self.version
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
            ran=ran(taken),
        )

    def tell_again(self, at: datetime, taken: "Sequence[CourseChange]") -> CourseChanged:
        """The current state under a new version, so that those who know the version before take it over."""
        self.version += 1
        return self.changed(at, taken)

    def _refusal(self) -> Conflict:
        detail = "The course's state does not allow this."
        return Conflict("state", detail, extra={"state": self.status, "allowed": list(STEPS[self.status])})


class CourseChange(Table, table=True):
    """One step that a course took: when, by whom and why. Never changed."""

    __tablename__ = "course_change"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "course_id"], ["course.clinic_id", "course.course_id"]),
        Index("ix_course_change_course_id", "clinic_id", "course_id"),
    )

    clinic_id: UUID = Field(primary_key=True)
    course_change_id: UUID = Field(primary_key=True)
    course_id: UUID
    course_version: int | None = None
    """The version that the step made; unknown of a step that the release before recorded."""
    step: CourseStep = Field(sa_column=code_column(CourseStep))
    changed_at: datetime = Field(sa_column=utc_column())
    changed_by: str
    reason: str | None = None
