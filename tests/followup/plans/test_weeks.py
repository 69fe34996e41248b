"""A course's weekly check-ins: from its first infusion with drug given, week by week, until it ends."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from shared.events import Event
from shared.events import intake as people
from shared.events import sessions as infusions
from tests.followup.clinic import Clinic, Visit, at

WEEK = timedelta(days=7)


def course(visit: Visit, status: str, version: int = 2, ran: Sequence[people.Span] = ()) -> Event:
    """``ran`` is when it ran before; by default until now, or from now on."""
    now, ended = visit.clock.now(), status in ("stopped", "completed")
    present = people.Span(since=now - 2 * WEEK, until=now) if ended else people.Span(since=now)
    return people.CourseChanged(
        occurred_at=visit.clock.now(),
        course_id=visit.course_id,
        course_version=version,
        patient_id=visit.patient_id,
        status=status,
        protocol_code="default",
        protocol_version=1,
        planned_infusions=6,
        responsible_clinician_id=visit.therapist_id,
        therapist_id=None,
        coordinator_id=None,
        ran=[*ran, present],
    )


async def weeks(clinic: Clinic, visit: Visit) -> dict[int, str]:
    """The course's weekly check-ins, by week."""
    rows = await clinic.rows(
        "SELECT ordinal, status FROM check_in WHERE course_id = :id AND code = 'WK' ORDER BY ordinal", id=visit.course_id
    )
    return {row["ordinal"]: "asked" if row["status"] in ("planned", "open", "overdue", "expired") else row["status"] for row in rows}


async def test_the_first_week_is_asked_about_seven_days_later_at_eight(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.pass_time(timedelta(days=6, hours=22, minutes=59))
    assert await weeks(clinic, visit) == {}
    await clinic.pass_time(timedelta(minutes=1))
    [asked] = await clinic.rows("SELECT * FROM check_in WHERE code = 'WK' AND course_id = :id", id=visit.course_id)
    assert at(asked, "opens_at") == datetime(2026, 11, 30, 13, 0, tzinfo=UTC)
    assert (asked["ordinal"], asked["infusion_id"], asked["patient_number"]) == (1, None, "P-0007")


async def test_weeks_go_on_one_by_one_until_the_course_ends(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    for _ in range(3):
        await clinic.pass_time(WEEK)
    assert await weeks(clinic, visit) == dict.fromkeys((1, 2, 3), "asked")
    await clinic.tell(course(visit, "completed"))
    await clinic.pass_time(2 * WEEK)
    assert await weeks(clinic, visit) == dict.fromkeys((1, 2, 3), "asked")


async def test_on_hold_a_course_is_still_asked_about(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), course(visit, "on-hold"))
    await clinic.pass_time(WEEK)
    assert await weeks(clinic, visit) == {1: "asked"}


async def test_a_course_taken_up_again_goes_on_with_the_next_week(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), course(visit, "stopped"))
    await clinic.pass_time(2 * WEEK + timedelta(days=1))
    assert await weeks(clinic, visit) == {}
    began = clinic.clock.now() - 2 * WEEK - timedelta(days=1)
    await clinic.tell(course(visit, "active", 3, [people.Span(since=began - WEEK, until=began)]))
    await clinic.pass_time(WEEK)
    assert await weeks(clinic, visit) == {3: "asked"}


async def test_weeks_that_were_over_when_we_heard_of_the_course_are_only_counted(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(pump_ended_at=clinic.clock.now() - timedelta(days=16)))
    await clinic.pass_time(timedelta(minutes=1))
    assert await weeks(clinic, visit) == {1: "cancelled", 2: "cancelled"}
    await clinic.pass_time(WEEK)
    assert (await weeks(clinic, visit))[3] == "asked"


async def test_nobody_asks_the_dead(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.tell(people.PatientDeceased(occurred_at=clinic.clock.now(), patient_id=visit.patient_id, patient_version=2))
    await clinic.pass_time(3 * WEEK)
    assert await weeks(clinic, visit) == {}


async def test_without_consent_a_week_is_left_out_and_the_next_one_comes(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.tell(clinic.consent(visit, "revoked"))
    await clinic.pass_time(WEEK)
    assert await weeks(clinic, visit) == {}
    await clinic.tell(clinic.consent(visit, "active", version=2))
    await clinic.pass_time(WEEK)
    assert await weeks(clinic, visit) == {1: "asked", 2: "asked"}, "the first was still in time"


async def test_a_second_infusion_does_not_begin_the_weeks_again(clinic: Clinic) -> None:
    first = clinic.visit()
    await clinic.tell(first.told())
    await clinic.pass_time(timedelta(days=3))
    second = clinic.visit(patient_id=first.patient_id, course_id=first.course_id)
    await clinic.tell(second.told(first_of_course=False))
    await clinic.pass_time(timedelta(days=4))
    assert await weeks(clinic, first) == {1: "asked"}


async def test_weeks_are_counted_from_the_corrected_day(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.tell(visit.told(infusions.InfusionAmended, 5, pump_ended_at=clinic.clock.now() - timedelta(hours=24)))
    await clinic.pass_time(timedelta(days=6))
    assert await weeks(clinic, visit) == {1: "asked"}


async def test_the_patients_present_zone_counts(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.patient(visit, time_zone="America/Los_Angeles")
    await clinic.pass_time(WEEK)
    assert await weeks(clinic, visit) == {}, "it is not eight there yet"
    await clinic.pass_time(timedelta(hours=3))
    [asked] = await clinic.rows("SELECT opens_at FROM check_in WHERE code = 'WK' AND course_id = :id", id=visit.course_id)
    assert at(asked, "opens_at") == datetime(2026, 11, 30, 16, 0, tzinfo=UTC)


ENTERED_IN_ERROR, AMENDED = infusions.InfusionEnteredInError, infusions.InfusionAmended


def not_counting(visit: Visit, why: str, version: int = 8) -> Event:
    """The news that an infusion should never have been recorded, or gave nothing."""
    return visit.told(ENTERED_IN_ERROR, version) if why == "void" else visit.told(AMENDED, version, drug_given=False, first_of_course=False)


async def another(clinic: Clinic, visit: Visit, *, drug_given: bool = True) -> Visit:
    """A further infusion of the same course."""
    made = clinic.visit(patient_id=visit.patient_id, course_id=visit.course_id)
    await clinic.tell(made.told(first_of_course=False, drug_given=drug_given))
    return made


async def weekly(clinic: Clinic, visit: Visit) -> dict[int, str]:
    """The course's weekly check-ins as they stand, by week."""
    rows = await clinic.rows("SELECT ordinal, status FROM check_in WHERE course_id = :id AND infusion_id IS NULL", id=visit.course_id)
    return {row["ordinal"]: row["status"] for row in rows}


@pytest.mark.parametrize("why", ["void", "nothing given"])
async def test_the_weeks_end_with_the_only_infusion_that_gave_drug_and_are_listed(clinic: Clinic, why: str) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await another(clinic, visit, drug_given=False)
    await clinic.pass_time(WEEK)
    [asked] = await clinic.rows("SELECT check_in_id FROM check_in WHERE code = 'WK' AND course_id = :id", id=visit.course_id)
    await clinic.tell(not_counting(visit, why))
    assert await weekly(clinic, visit) == {1: "cancelled"}
    [review] = await clinic.rows(
        "SELECT details FROM care_task WHERE kind = 'cancellation-review' AND patient_id = :id", id=visit.patient_id
    )
    reason = "infusion-entered-in-error" if why == "void" else "no-drug-given"
    assert {"kind": "check-in", "code": "WK", "id": str(asked["check_in_id"]), "reason": reason} in review["details"]["items"]
    await clinic.pass_time(WEEK)
    about_it = "SELECT kind FROM care_task WHERE focus_id = :id"
    assert await clinic.rows(about_it, id=asked["check_in_id"]) == []


@pytest.mark.parametrize("why", ["void", "nothing given"])
async def test_the_call_about_a_week_ends_with_its_infusion_and_what_an_answer_raised_stays(clinic: Clinic, why: str) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.pass_time(WEEK + timedelta(days=2))
    [asked] = await clinic.rows("SELECT check_in_id FROM check_in WHERE code = 'WK' AND course_id = :id", id=visit.course_id)
    await clinic.worry(asked["check_in_id"])
    await clinic.tell(not_counting(visit, why))
    rows = await clinic.rows("SELECT kind, status FROM care_task WHERE focus_id = :id", id=asked["check_in_id"])
    assert {row["kind"]: row["status"] for row in rows} == {
        "check-in-overdue-call": "entered-in-error" if why == "void" else "cancelled",
        "safety-review": "requested",
    }


@pytest.mark.parametrize("why", ["void", "nothing given"])
async def test_the_weeks_of_a_course_with_another_infusion_that_gave_drug_stay(clinic: Clinic, why: str) -> None:
    first = clinic.visit()
    await clinic.tell(first.told())
    second = await another(clinic, first)
    await clinic.pass_time(WEEK)
    await clinic.tell(not_counting(first, why))
    assert await weekly(clinic, first) == {1: "open"}
    await clinic.tell(not_counting(second, why))
    assert await weekly(clinic, first) == {1: "cancelled"}, "nothing stands behind it any more"


async def test_the_weeks_of_the_patients_other_course_stay(clinic: Clinic) -> None:
    visit = clinic.visit()
    other = clinic.visit(patient_id=visit.patient_id)
    await clinic.tell(visit.told(), other.told())
    await clinic.pass_time(WEEK)
    await clinic.tell(not_counting(visit, "void"))
    assert (await weekly(clinic, visit), await weekly(clinic, other)) == ({1: "cancelled"}, {1: "open"})


async def test_a_week_that_was_answered_stays_answered(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.pass_time(WEEK)
    async with clinic.database.transaction(clinic.clinic_id) as db:
        answered = "UPDATE check_in SET status = 'submitted', submitted_at = :now WHERE course_id = :id AND code = 'WK'"
        await db.execute(text(answered), {"id": visit.course_id, "now": clinic.clock.now()})
    await clinic.tell(not_counting(visit, "void"))
    assert await weekly(clinic, visit) == {1: "submitted"}
