"""What an item hangs on: from which moment its times count, or why nothing hangs there. Small functions over facts, by their names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from uuid import UUID

from services.followup.local_time import on_the_clock
from services.followup.plans.facts import Cause, Course, Visit, VisitState
from services.followup.plans.overview import REASON_OF, Overview

NO_DRUG, VOID, DUPLICATE = "no-drug-given", "infusion-entered-in-error", "held-as-duplicate"
COURSE_GOES_ON, DRUG_GIVEN, TAKES_PLACE, IS_BACK = "course-goes-on", "drug-given", "visit-takes-place", "patient-is-back"
NOT_BOOKED, NO_MAINTENANCE = "visit-not-booked", "no-maintenance"


@dataclass(frozen=True, slots=True)
class Anchored:
    """An anchor that is there."""

    anchor_id: UUID
    counts_from: datetime
    visit: Visit | None = None
    """The infusion that it is, or from which it counts."""
    course: Course | None = None
    number: int = 0
    """Which one it is where a patient has several: departures."""
    since: datetime | None = None
    """When it came about, where that may be later than what it counts from."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing hangs there, and this is why."""

    anchor_id: UUID
    reason: str


_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
"""When a visit was to be of which nothing was told but that it fell out. What follows that counts from its making."""

Found = Anchored | Gone | None
"""None where nothing can be said yet."""


def infusion_end(overview: Overview, visit: Visit) -> Found:
    """The moment at which the pump of an infusion with drug given stopped."""
    if gone := _no_record(visit):
        return gone
    if visit.state is VisitState.MISSED or visit.drug_given is False:
        return Gone(visit.infusion_id, NO_DRUG)
    if not visit.gave_drug or visit.pump_ended_at is None:
        return None
    return Anchored(visit.infusion_id, visit.pump_ended_at, visit, overview.course(visit.course_id))


def visit_end(overview: Overview, visit: Visit) -> Found:
    """The end of an infusion that was started, whether or not drug was given."""
    if gone := _no_record(visit):
        return gone
    if visit.state is not VisitState.ENDED or visit.pump_ended_at is None:
        return None
    return Anchored(visit.infusion_id, visit.pump_ended_at, visit, overview.course(visit.course_id))


def visit_booked(overview: Overview, visit: Visit) -> Found:
    """The time for which a visit is booked that has not begun."""
    if gone := _no_record(visit):
        return gone
    if visit.state is VisitState.MISSED:
        return Gone(visit.infusion_id, NOT_BOOKED)
    if visit.scheduled_at is None:
        return None
    return Anchored(visit.infusion_id, visit.scheduled_at, visit, overview.course(visit.course_id))


def visit_without_drug(overview: Overview, visit: Visit) -> Found:
    """A visit that fell out, or an infusion that gave nothing: another one has to be booked."""
    if gone := _no_record(visit):
        return gone
    at = visit.scheduled_at or visit.pump_ended_at or visit.started_at or _UNKNOWN
    if visit.state is VisitState.MISSED or (visit.state is VisitState.ENDED and visit.drug_given is False):
        return Anchored(visit.infusion_id, at, visit, overview.course(visit.course_id))
    return Gone(visit.infusion_id, DRUG_GIVEN if visit.drug_given else TAKES_PLACE)


def course_day_0(overview: Overview, course: Course) -> Found:
    """The beginning of the patient's day on which the first infusion of the course with drug given was started."""
    given = [
        (visit.started_at, visit.infusion_id, visit) for visit in overview.given_in_course.get(course.course_id, ()) if visit.started_at
    ]
    if not given:
        return Gone(course.course_id, VOID if overview.has_void_record(course.course_id) else NO_DRUG)
    started_at, _, first = min(given, key=lambda one: one[:2])
    return Anchored(course.course_id, _day_of(started_at, overview), first, course)


def course_end(overview: Overview, course: Course) -> Found:
    """The beginning of the day of the last infusion with drug given, of a course that has ended."""
    if course.ended_at is None:
        return Gone(course.course_id, COURSE_GOES_ON)
    given = overview.given_in_course.get(course.course_id)
    if not given:
        return Gone(course.course_id, NO_DRUG)
    last = given[-1]
    if last.pump_ended_at is None:
        return None
    return Anchored(course.course_id, _day_of(last.pump_ended_at, overview), last, course, since=course.ended_at)


def maintenance_start(overview: Overview, course: Course) -> Found:
    """The beginning of the day on which maintenance began."""
    if course.maintenance_since is None:
        return Gone(course.course_id, NO_MAINTENANCE)
    return Anchored(course.course_id, _day_of(course.maintenance_since, overview), None, course)


def departure(overview: Overview) -> Found:
    """The end of the last infusion of a patient who has left or revoked consent; a death calls it off."""
    patient_id = overview.facts.patient_id
    if not overview.present:
        return Gone(patient_id, IS_BACK)
    left = overview.present[0]
    if left.cause is Cause.DEATH:
        return Gone(patient_id, REASON_OF[Cause.DEATH])
    if not overview.given:
        return None
    ended_at, _, last = overview.given[-1]
    return Anchored(patient_id, ended_at, last, overview.course(last.course_id), left.number, left.span.since)


def _no_record(visit: Visit) -> Gone | None:
    if visit.state is VisitState.VOID:
        return Gone(visit.infusion_id, VOID)
    return Gone(visit.infusion_id, DUPLICATE) if visit.state is VisitState.DUPLICATE else None


def _day_of(at: datetime, overview: Overview) -> datetime:
    zone = overview.facts.zone
    return on_the_clock(at.astimezone(zone).date(), time.min, zone)


OF_VISIT: Mapping[str, Callable[[Overview, Visit], Found]] = {
    "infusion-end": infusion_end,
    "visit-end": visit_end,
    "visit-booked": visit_booked,
    "visit-without-drug": visit_without_drug,
}
OF_COURSE: Mapping[str, Callable[[Overview, Course], Found]] = {
    "course-day-0": course_day_0,
    "course-end": course_end,
    "maintenance-start": maintenance_start,
}
OF_PATIENT: Mapping[str, Callable[[Overview], Found]] = {"departure": departure}
