from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.intake.courses.rules import Cadence, CourseStatus
from services.intake.fields import Reason, absent
from shared.web.schemas import Answer, Body

ProtocolCode = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40, examples=["default"])]
ProtocolVersion = Annotated[int, Field(ge=1, le=9999)]
PlannedInfusions = Annotated[int, Field(ge=1, le=999)]


class StartCourse(Body):
    """How many infusions may be planned is the clinic's policy; see the error's allowed range."""

    patient_id: UUID
    protocol_code: ProtocolCode
    protocol_version: ProtocolVersion
    planned_infusions: PlannedInfusions
    cadence: Cadence
    responsible_clinician_id: UUID
    therapist_id: UUID | None = None
    coordinator_id: UUID | None = None


class ChangeCourse(Body):
    """Only what is sent is changed. The protocol of a running course does not change."""

    planned_infusions: PlannedInfusions = absent()
    cadence: Cadence = absent()
    responsible_clinician_id: UUID = absent()
    therapist_id: UUID | None = None
    coordinator_id: UUID | None = None


class WithReason(Body):
    """For holding and stopping."""

    reason: Reason


class MaybeWithReason(Body):
    """For resuming and completing."""

    reason: Reason | None = None


class CourseOut(Answer):
    course_id: UUID
    patient_id: UUID
    status: CourseStatus
    status_changed_at: datetime
    status_changed_by: str
    status_reason: str | None
    protocol_code: str
    protocol_version: int
    planned_infusions: int
    cadence: Cadence
    responsible_clinician_id: UUID
    therapist_id: UUID | None
    coordinator_id: UUID | None
    version: int
    started_at: datetime
