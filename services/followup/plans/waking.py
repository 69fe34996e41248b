"""The clock by which a plan changes without a new fact: one of a series opens."""

from collections.abc import Iterable

from services.followup.plans.difference import Difference
from shared.timers import Timer

WAKE = "plan-wake"
"""Kind of the timer. The release before does not know it and leaves it to a process that does."""
COURSE_WEEK = "course-week"
"""What the release before armed for each course."""


def clocks(found: Iterable[Difference]) -> list[Timer]:
    """The timers that wake patients' plans when time alone changes them."""
    waking = [(one.facts.patient_id, one.wanted.wake) for one in found if one.wanted.wake]
    return [Timer(f"{WAKE}:{patient_id}", WAKE, wake, patient_id) for patient_id, wake in waking]
