"""A patient's facts, put in order once, so that what is asked of them does not cost more the more visits there are."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from uuid import UUID

from services.followup.plans.facts import Absence, Cause, Course, Facts, Visit, VisitState

REASON_OF = {
    Cause.DEATH: "patient-deceased",
    Cause.TRANSFER: "patient-transferred",
    Cause.WITHDRAWAL: "patient-withdrawn",
    Cause.CONSENT_REVOKED: "treatment-consent-revoked",
}
"""The code under which an item says that it ended for this cause."""


class Overview:
    """The facts of one patient with the orders in which they are looked up."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._courses = {course.course_id: course for course in facts.courses}
        self.present = facts.present_absences()
        self.past = [one for one in facts.absences if one.span.until is not None]

    @cached_property
    def starts(self) -> Sequence[tuple[datetime, UUID]]:
        """Starts of the infusions to which an earlier one's check-in may give way, by time."""
        return sorted((visit.started_at, visit.infusion_id) for visit in self.facts.visits if visit.takes_over and visit.started_at)

    @cached_property
    def given(self) -> Sequence[tuple[datetime, UUID, Visit]]:
        """Infusions that gave drug, by their end."""
        given = ((visit.pump_ended_at, visit.infusion_id, visit) for visit in self.facts.visits if visit.gave_drug and visit.pump_ended_at)
        return sorted(given, key=lambda one: one[:2])

    @cached_property
    def given_in_course(self) -> Mapping[UUID, Sequence[Visit]]:
        """The same, by course."""
        by_course: dict[UUID, list[Visit]] = defaultdict(list)
        for _, _, visit in self.given:
            by_course[visit.course_id].append(visit)
        return by_course

    @cached_property
    def done_in_course(self) -> Mapping[tuple[UUID, str], int]:
        """How many items of a code are done about the infusions of a course."""
        course_of = {visit.infusion_id: visit.course_id for visit in self.facts.visits}
        counted: dict[tuple[UUID, str], int] = defaultdict(int)
        for key in self.facts.done:
            if key.anchor_id in course_of:
                counted[course_of[key.anchor_id], key.code] += 1
        return counted

    @cached_property
    def courses(self) -> Sequence[Course]:
        """All courses, also those of which only a visit has told."""
        known = {*self._courses, *(visit.course_id for visit in self.facts.visits)}
        return [self.course(course_id) for course_id in sorted(known)]

    def has_void_record(self, course_id: UUID) -> bool:
        """Whether an infusion of the course was to have given drug, whose record should never have existed."""
        return any(one.course_id == course_id and one.state is VisitState.VOID and one.drug_given for one in self.facts.visits)

    def course(self, course_id: UUID) -> Course:
        """A course; one that nothing has been told of runs."""
        return self._courses.get(course_id) or Course(course_id)

    def next_start(self, visit: Visit) -> tuple[datetime, UUID] | None:
        """The first infusion that was started after this one's end."""
        if visit.pump_ended_at is None:
            return None
        for start, infusion_id in self.starts[bisect_right(self.starts, (visit.pump_ended_at, _LAST)) :]:
            if infusion_id != visit.infusion_id:
                return start, infusion_id
        return None

    def absent(self, stays_after: frozenset[Cause]) -> Absence | None:
        """Why the patient is not followed up now, as far as an item does not stay after it."""
        return next((one for one in self.present if one.cause not in stays_after), None)

    def passed_meanwhile(self, expires_at: datetime | None, stays_after: frozenset[Cause]) -> Absence | None:
        """The absence, over by now, in which an item's time ran out. It was nobody's to ask, and is not missed."""
        if expires_at is None:
            return None
        return next((one for one in self.past if one.cause not in stays_after and one.span.holds(expires_at)), None)


_LAST = UUID(int=(1 << 128) - 1)
