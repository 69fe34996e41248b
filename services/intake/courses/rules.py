from collections.abc import Mapping
from enum import StrEnum

from shared.events.intake import Role


class CourseStatus(StrEnum):
    ACTIVE = "active"
    ON_HOLD = "on-hold"
    STOPPED = "stopped"
    COMPLETED = "completed"


class CourseStep(StrEnum):
    """What may be done to a course."""

    HOLD = "hold"
    RESUME = "resume"
    STOP = "stop"
    COMPLETE = "complete"


class Cadence(StrEnum):
    """How close together the infusions are planned."""

    THREE_PER_WEEK = "three-per-week"
    TWO_PER_WEEK = "two-per-week"
    WEEKLY = "weekly"
    EVERY_TWO_WEEKS = "every-two-weeks"
    EVERY_THREE_WEEKS = "every-three-weeks"
    EVERY_FOUR_WEEKS = "every-four-weeks"


STEPS: Mapping[CourseStatus, Mapping[CourseStep, CourseStatus]] = {
    CourseStatus.ACTIVE: {
        CourseStep.HOLD: CourseStatus.ON_HOLD,
        CourseStep.STOP: CourseStatus.STOPPED,
        CourseStep.COMPLETE: CourseStatus.COMPLETED,
    },
    CourseStatus.ON_HOLD: {CourseStep.RESUME: CourseStatus.ACTIVE, CourseStep.STOP: CourseStatus.STOPPED},
    CourseStatus.STOPPED: {},
    CourseStatus.COMPLETED: {},
}
"""From each state, the possible steps and where they lead. A stopped or completed course is final."""

OPEN = frozenset(status for status, steps in STEPS.items() if steps)

RESPONSIBLE_ROLES = frozenset({Role.PRESCRIBER, Role.MENTAL_HEALTH_REVIEWER, Role.MEDICAL_DIRECTOR})
THERAPIST_ROLES = frozenset({Role.THERAPIST})
COORDINATOR_ROLES = frozenset({Role.COORDINATOR})
CARE_TEAM_ROLES: Mapping[str, frozenset[Role]] = {
    "responsible_clinician_id": RESPONSIBLE_ROLES,
    "therapist_id": THERAPIST_ROLES,
    "coordinator_id": COORDINATOR_ROLES,
}
"""Which roles qualify a practitioner for a place in the care team."""

PLANNING_FIELDS = frozenset({"planned_infusions", "cadence", "responsible_clinician_id"})
"""What only somebody who may be responsible for a course may change in it."""
