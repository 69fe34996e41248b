"""From what was told of a patient to the facts of the plan: when they were followed, when their courses ran."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from services.followup.plans.fact_rows import Row, facts_of
from services.followup.plans.facts import Absence, Cause, Facts, Outcome, Span, VisitState
from services.followup.plans.stored import Stored
from services.followup.plans.wanted import Key, State, Times

COURSE = uuid4()


def day(number: int) -> datetime:
    return datetime(2026, 3, number, 15, tzinfo=UTC)


def span(since: int, until: int | None = None) -> dict[str, str | None]:
    return {"since": day(since).isoformat(), "until": day(until).isoformat() if until else None}


def row(**told: Any) -> Row:  # Any: columns of several types
    unknown = dict.fromkeys(
        ("active", "status_since", "left_version", "treatment_standing", "treatment_since", "treatment_stood", "treatment_revoked_at")
    )
    standard = {
        "patient_id": uuid4(),
        "zone": "America/Denver",
        "clinic_zone": "America/New_York",
        "messages_allowed": None,
        "status": "active",
        "status_version": 1,
        "revoked_version": None,
        "revoked": False,
        "courses": [],
        "visits": [],
    }
    return {**unknown, **standard, **told}


def facts(items: dict[Key, Stored] | None = None, **told: Any) -> Facts:  # Any: as above
    return facts_of(row(**told), items or {})


def test_a_departure_that_ended_is_an_absence_with_both_ends() -> None:
    known = facts(active=[span(1, 5), span(9)])
    assert known.absences == (Absence(Cause.WITHDRAWAL, Span(day(5), day(9))),)
    assert known.returned == day(9)


def test_who_has_left_is_absent_from_the_end_of_the_last_time_in_the_programme() -> None:
    known = facts(active=[span(1, 5)], status="withdrawn", left_version=7)
    assert known.absences == (Absence(Cause.WITHDRAWAL, Span(day(5)), 7),)


def test_who_left_before_they_died_is_absent_for_both_reasons_and_the_death_counts_first() -> None:
    known = facts(status="deceased", status_version=8, left_version=7, status_since=day(5))
    assert known.absences == (Absence(Cause.DEATH, Span(day(5)), 8), Absence(Cause.WITHDRAWAL, Span(day(5)), 7))
    assert known.present_absences()[0].cause is Cause.DEATH


def test_consent_taken_back_is_an_absence_numbered_apart_from_departures() -> None:
    known = facts(revoked=True, treatment_standing="revoked", treatment_since=day(6), revoked_version=3, treatment_stood=[span(1, 6)])
    assert known.absences == (Absence(Cause.CONSENT_REVOKED, Span(day(6)), -3),)


@pytest.mark.parametrize(("revoked_at", "absences"), [(day(5), 1), (day(2), 0), (None, 0)], ids=["revoked", "long before", "expired"])
def test_a_time_without_consent_is_an_absence_only_where_consent_was_taken_back(revoked_at: datetime | None, absences: int) -> None:
    known = facts(treatment_stood=[span(1, 5), span(9)], treatment_revoked_at=revoked_at)
    assert known.absences == (Absence(Cause.CONSENT_REVOKED, Span(day(5), day(9))),) * absences


def course(status: str, ran: list[Any] | None, *weeks: int) -> tuple[Span, ...]:
    keys = [Key(COURSE, "WK", number) for number, _ in enumerate(weeks, 1)]
    asked = {key: Stored(key, False, State.DONE, Times(day(at), day(at + 1), day(at + 3))) for key, at in zip(keys, weeks, strict=True)}
    (known,) = facts(asked, courses=[{"course_id": str(COURSE), "status": status, "ran": ran}]).courses
    assert known.course_id == COURSE
    return known.runs


def test_a_course_on_hold_runs_and_one_that_was_resumed_did_not_run_in_between() -> None:
    assert course("on-hold", [span(1, 5)]) == (Span(day(1)),)
    assert course("active", [span(1, 5), span(9)]) == (Span(day(1), day(5)), Span(day(9)))


def test_an_ended_course_ran_until_it_ended() -> None:
    assert course("completed", [span(1, 5)], 3, 10) == (Span(day(1), day(5)),)


def test_a_course_that_ended_before_that_was_kept_ended_after_the_last_week_that_was_asked() -> None:
    (ran,) = course("stopped", None, 3, 10)
    assert ran.since is None
    assert ran.until
    assert day(10) < ran.until < day(11)


def test_a_course_of_which_nothing_was_told_runs() -> None:
    assert course("active", None) == (Span(),)


@pytest.mark.parametrize(
    ("state", "stands", "outcome"),
    [
        ("scheduled", VisitState.BOOKED, None),
        ("started", VisitState.STARTED, None),
        ("no-show", VisitState.MISSED, None),
        ("entered-in-error", VisitState.VOID, None),
        ("stopped-early", VisitState.ENDED, Outcome.STOPPED_EARLY),
    ],
)
def test_a_visit_stands_as_the_newest_event_said(state: str, stands: VisitState, outcome: Outcome | None) -> None:
    moments = {"scheduled_at": None, "started_at": None, "pump_ended_at": day(3).isoformat(), "discharged_at": None}
    infusion_id = uuid4()
    told = {"infusion_id": str(infusion_id), "course_id": str(COURSE), "state": state, "drug_given": True, "followed": True, **moments}
    (visit,) = facts(visits=[told]).visits
    assert (visit.infusion_id, visit.state, visit.outcome, visit.pump_ended_at) == (infusion_id, stands, outcome, day(3))


def test_a_patient_of_unknown_zone_lives_where_the_clinic_is_and_may_be_written_to_unless_told_otherwise() -> None:
    assert (facts(zone=None).zone.key, facts().messages_allowed) == ("America/New_York", True)
    assert not facts(messages_allowed=False).messages_allowed
