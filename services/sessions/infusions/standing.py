"""How patient and course stood at a visit's own time, and what is otherwise today.

The past is not judged by today: an infusion given before the course ended, or before the patient left or died, happened, and may be
entered afterwards. What takes place now or later is judged by now.
"""

from datetime import datetime
from typing import Any, NamedTuple

from services.sessions.subjects.models import SPANS, CourseStatus, PatientStatus, Subject

ALLOWING = frozenset({CourseStatus.ACTIVE, CourseStatus.ON_HOLD})
"""States of a course that may be booked for."""


class Difference(NamedTuple):
    """What is otherwise today than at the time of a visit, and since when, where that is known."""

    code: str
    since: datetime | None


def barred_at(subject: Subject, at: datetime, now: datetime, *, starting: bool) -> str | None:
    """The code of what forbids a booking for, or with ``starting`` a start at, that moment; None where nothing does.

    A held course may be booked for. What takes place now or later is judged by today's status.
    """
    patient, course, past = subject.patient, subject.course, at < now
    if not (patient.was_active(at) if past else patient.status == PatientStatus.ACTIVE):
        return "patient-was-not-active" if patient.status == PatientStatus.ACTIVE else f"patient-{patient.status}"
    if (course.ran_at(at) if past else course.status == CourseStatus.ACTIVE) or (course.status in ALLOWING and not starting):
        return None
    return "course-did-not-run" if course.status == CourseStatus.ACTIVE else f"course-{course.status}"


def differs_today(subject: Subject, at: datetime, now: datetime) -> list[Difference]:
    """What would forbid today what was done at that moment; nothing for what takes place now or later."""
    if at >= now:
        return []
    patient, course = subject.patient, subject.course
    found = [] if patient.status == PatientStatus.ACTIVE else [Difference(f"patient-{patient.status}", _last_end(patient.active, now))]
    if course.status != CourseStatus.ACTIVE:
        found.append(Difference(f"course-{course.status}", _last_end(course.ran, now)))
    return found


def _last_end(spans: list[dict[str, Any]] | None, now: datetime) -> datetime | None:  # Any: JSON of ``SPANS``
    ends = [span.until for span in SPANS.validate_python(spans or []) if span.until is not None and span.until <= now]
    return max(ends, default=None)
