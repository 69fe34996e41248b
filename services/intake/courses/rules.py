from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from services.intake.roles import COORDINATORS, RESPONSIBLE, THERAPISTS
from shared.events.intake import BEGINNING, Role, Span


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


class Taken(Protocol):
    """What is to be known of a step that a course took."""

    @property
    def step(self) -> CourseStep: ...
    @property
    def changed_at(self) -> datetime: ...


def ran(taken: Iterable[Taken]) -> list[Span]:
    """When infusions could be started under a course that took these steps, in their order.

    It counts from the beginning: an infusion given before the course was recorded is entered under it.
    """
    spans: list[Span] = []
    since: datetime | None = BEGINNING
    latest = BEGINNING
    for change in taken:
        latest = max(latest, change.changed_at)  # Replicas' clocks may differ; a step never comes before the one before it.
        if change.step is CourseStep.RESUME:
            since = since or latest
        elif since is not None:
            spans.append(Span(since=since, until=latest))
            since = None
    return [*spans, Span(since=since)] if since is not None else spans


OPEN = frozenset(status for status, steps in STEPS.items() if steps)

CARE_TEAM_ROLES: Mapping[str, frozenset[Role]] = {
    "responsible_clinician_id": RESPONSIBLE,
    "therapist_id": THERAPISTS,
    "coordinator_id": COORDINATORS,
}
"""Which roles qualify a practitioner for a place in the care team."""

PLANNING_FIELDS = frozenset({"planned_infusions", "cadence", "responsible_clinician_id"})
"""What only somebody who may be responsible for a course may change in it."""
