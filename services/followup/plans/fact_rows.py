"""From what is stored of a patient to the facts that the plan is worked out from. Values in, values out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from services.followup.plans.facts import Absence, Cause, Course, Facts, Outcome, Span, Visit, VisitState
from services.followup.plans.stored import Stored
from services.followup.plans.wanted import Key, State
from services.followup.subjects.models import ENDED_COURSE, InfusionState, PatientStatus
from shared.events.intake import BEGINNING
from shared.events.zones import zone_of

Row = Mapping[str, Any]  # Any: columns of several types

_STATES = {
    InfusionState.SCHEDULED: VisitState.BOOKED,
    InfusionState.STARTED: VisitState.STARTED,
    InfusionState.NOT_DONE: VisitState.MISSED,
    InfusionState.NO_SHOW: VisitState.MISSED,
    InfusionState.CANCELLED: VisitState.MISSED,
    InfusionState.ENTERED_IN_ERROR: VisitState.VOID,
}
"""A visit in any other state has ended."""
_WEEKLY = "WK"


def facts_of(patient: Row, items: Mapping[Key, Stored]) -> Facts:
    """One row of ``reading`` as facts; ``items`` are the patient's, which tell what is done."""
    clinic_zone = patient["clinic_zone"] or patient["zone"]
    return Facts(
        patient_id=patient["patient_id"],
        zone=zone_of(patient["zone"] or clinic_zone),
        clinic_zone=zone_of(clinic_zone),
        messages_allowed=patient["messages_allowed"] is not False,
        absences=tuple(_absences(patient)),
        courses=tuple(_course(row, items.values()) for row in patient["courses"]),
        visits=tuple(map(_visit, patient["visits"])),
        done=frozenset(key for key, item in items.items() if item.state is State.DONE),
    )


def _absences(patient: Row) -> Iterator[Absence]:
    """Of what is over, departures and revoked consent were absences. A death is never over: where it was corrected, it never was."""
    followed, stood = _spans(patient["active"]), _spans(patient["treatment_stood"])
    yield from (Absence(Cause.WITHDRAWAL, gap) for gap in _gaps(followed))
    yield from (Absence(Cause.CONSENT_REVOKED, gap) for gap in _gaps(stood) if _was_revoked(patient, gap))
    since = _end(followed) or patient["status_since"] or BEGINNING
    if patient["status"] == PatientStatus.DECEASED:
        yield Absence(Cause.DEATH, Span(since), patient["status_version"])
    if patient["left_version"] is not None or patient["status"] == PatientStatus.WITHDRAWN:
        yield Absence(Cause.WITHDRAWAL, Span(since), patient["left_version"] or 0)
    if patient["revoked"]:
        # Decisions of intake are counted apart from departures; below 0 they have names of their own.
        number = -patient["revoked_version"] if patient["revoked_version"] else 1
        yield Absence(Cause.CONSENT_REVOKED, Span(_revoked_since(patient)), number)


def _was_revoked(patient: Row, gap: Span) -> bool:
    """Whether a revocation began the gap. After a consent that only expired, follow-up went on."""
    revoked_at = patient["treatment_revoked_at"]
    return revoked_at is not None and gap.holds(revoked_at)


def _revoked_since(patient: Row) -> datetime:
    told: datetime | None = patient["treatment_since"] if patient["treatment_standing"] == "revoked" else patient["treatment_revoked_at"]
    return told or BEGINNING


def _course(row: Row, items: Iterable[Stored]) -> Course:
    """Intake leaves times on hold out of ``ran``, but a course on hold is followed: while the hold lasts, the course runs here."""
    course_id, ended = UUID(row["course_id"]), row["status"] in ENDED_COURSE
    ran = _spans(row["ran"]) or [Span()]
    if not ended:
        return Course(course_id, (*ran[:-1], Span(ran[-1].since)))
    if ran[-1].until is None:
        return Course(course_id, (*ran[:-1], Span(ran[-1].since, _after_the_last_week(course_id, items))))
    return Course(course_id, tuple(ran))


def _after_the_last_week(course_id: UUID, items: Iterable[Stored]) -> datetime:
    """The end of a course that ended before its end was kept here: it is not known, but was after the last week that was asked."""
    weeks = [item.times.opens_at for item in items if item.key.anchor_id == course_id and item.key.code == _WEEKLY and item.times.opens_at]
    return max(weeks, default=BEGINNING) + timedelta(seconds=1)


def _visit(row: Row) -> Visit:
    state = _STATES.get(row["state"], VisitState.ENDED)
    return Visit(
        infusion_id=UUID(row["infusion_id"]),
        course_id=UUID(row["course_id"]),
        state=state,
        scheduled_at=_moment(row["scheduled_at"]),
        started_at=_moment(row["started_at"]),
        pump_ended_at=_moment(row["pump_ended_at"]),
        discharged_at=_moment(row["discharged_at"]),
        outcome=Outcome(row["state"]) if state is VisitState.ENDED else None,
        drug_given=row["drug_given"],
        followed=row["followed"],
        missed_as=row["state"] if state is VisitState.MISSED else None,
    )


def _spans(told: Sequence[Row] | None) -> list[Span]:
    return [Span(_moment(span["since"]), _moment(span["until"])) for span in told or ()]


def _gaps(spans: Sequence[Span]) -> Iterator[Span]:
    return (Span(before.until, after.since) for before, after in pairwise(spans) if before.until and after.since)


def _end(spans: Sequence[Span]) -> datetime | None:
    return spans[-1].until if spans else None


def _moment(told: str | None) -> datetime | None:
    return None if told is None else datetime.fromisoformat(told)
