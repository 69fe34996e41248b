"""A death or a withdrawal that was recorded by mistake: follow-up goes on, and one call makes up for what was missed."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.events import Event
from shared.events import intake as people
from tests.followup.clinic import Clinic, Json, Visit

WEEK = timedelta(days=7)


def death(visit: Visit, version: int = 2) -> Event:
    return people.PatientDeceased(occurred_at=visit.clock.now(), patient_id=visit.patient_id, patient_version=version)


def withdrawal(visit: Visit, version: int = 2) -> Event:
    return people.PatientWithdrawn(occurred_at=visit.clock.now(), patient_id=visit.patient_id, patient_version=version)


MISTAKES = {"death": death, "withdrawal": withdrawal}


async def correct(clinic: Clinic, visit: Visit, version: int = 3) -> None:
    """A clinician declares it entered in error: intake tells the patient's whole state."""
    await clinic.patient(visit, version=version, status="active", death_corrected=version)


async def calls(clinic: Clinic, visit: Visit) -> list[Json]:
    made = (
        "SELECT * FROM care_task WHERE kind = 'catch-up-call' AND focus_kind = 'Patient' AND patient_id = :id ORDER BY created_at, ordinal"
    )
    return await clinic.rows(made, id=visit.patient_id)


def listed(call: Json) -> list[str]:
    return sorted(item["code"] for item in call["details"]["items"])


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_one_call_covers_what_was_called_off_by_mistake(clinic: Clinic, mistake: Callable[[Visit], Event]) -> None:
    visit = clinic.visit()
    await clinic.patient(visit)
    await clinic.tell(visit.told(), mistake(visit))
    await correct(clinic, visit)
    await correct(clinic, visit)
    [call] = await calls(clinic, visit)
    assert listed(call) == ["C24", "C72", "integration-session"]
    assert (call["status"], call["priority"], call["patient_number"]) == ("requested", "urgent", "P-0007")
    states = await clinic.states(visit)
    assert {states[code] for code in ("C24", "C72", "integration-session")} == {"cancelled"}
    read = (await clinic.get(f"tasks/{call['task_id']}")).json()
    assert "was recorded by mistake, and a clinician has corrected it." in read["why"]
    assert "Not done meanwhile: " in read["why"]
    assert "24-hour check-in: called off by a record that was wrong" in read["lists"]


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_after_the_correction_later_infusions_and_weeks_are_followed_as_usual(
    clinic: Clinic, mistake: Callable[[Visit], Event]
) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), mistake(visit))
    await clinic.pass_time(WEEK)
    await correct(clinic, visit)
    later = clinic.visit(patient_id=visit.patient_id, course_id=visit.course_id)
    await clinic.tell(later.told(first_of_course=False))
    assert (await clinic.states(later))["C24"] == "planned"
    await clinic.pass_time(WEEK)
    asked = await clinic.rows("SELECT ordinal FROM check_in WHERE course_id = :id AND code = 'WK' ORDER BY ordinal", id=visit.course_id)
    assert [row["ordinal"] for row in asked] == [2]


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_the_weeks_that_passed_meanwhile_are_listed_and_not_asked(clinic: Clinic, mistake: Callable[[Visit], Event]) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), mistake(visit))
    await clinic.pass_time(WEEK)
    await clinic.pass_time(WEEK)
    await correct(clinic, visit)
    [call] = await calls(clinic, visit)
    assert listed(call) == ["C24", "C72", "WK", "WK", "integration-session"]
    assert await clinic.rows("SELECT 1 FROM check_in WHERE course_id = :id AND code = 'WK'", id=visit.course_id) == []


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize("first", [True, False], ids=["ended before", "ended meanwhile"])
async def test_nobody_reads_any_more_that_the_patient_has_died_or_left(
    clinic: Clinic, mistake: Callable[[Visit], Event], first: bool
) -> None:
    visit = clinic.visit()
    await clinic.tell(*((visit.told(), mistake(visit)) if first else (mistake(visit), visit.told())))
    await correct(clinic, visit)
    made = "SELECT kind FROM care_task WHERE patient_id = :id AND status IN ('requested', 'accepted', 'on-hold')"
    assert [row["kind"] for row in await clinic.rows(made, id=visit.patient_id)] == ["catch-up-call"]


async def test_the_review_of_another_cause_stays(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), clinic.consent(visit, "revoked"), death(visit, version=2))
    await correct(clinic, visit)
    reviews = "SELECT status FROM care_task WHERE patient_id = :id AND kind = 'cancellation-review' ORDER BY ordinal"
    assert [row["status"] for row in await clinic.rows(reviews, id=visit.patient_id)] == ["requested", "cancelled"]


async def test_an_infusion_that_ended_while_the_patient_was_recorded_as_dead_is_in_the_call(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(death(visit), visit.told())
    await correct(clinic, visit)
    [call] = await calls(clinic, visit)
    assert listed(call) == ["C24", "C72", "integration-session"]


async def test_a_correction_that_is_heard_before_the_death_leaves_follow_up_as_it_is(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await correct(clinic, visit)
    await clinic.tell(death(visit))
    await clinic.patient(visit, version=2, status="deceased")
    assert (await clinic.states(visit))["C24"] == "planned"
    assert await calls(clinic, visit) == []


async def test_a_later_change_tells_of_the_correction_as_well(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), death(visit))
    await clinic.patient(visit, version=4, status="active", death_corrected=3)
    await correct(clinic, visit)
    assert len(await calls(clinic, visit)) == 1


async def test_a_death_after_the_correction_is_one(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), death(visit))
    await correct(clinic, visit)
    later = clinic.visit(patient_id=visit.patient_id)
    await clinic.tell(later.told(), death(visit, version=4))
    await clinic.patient(visit, version=4, status="deceased", death_corrected=3)
    assert (await clinic.states(later))["C24"] == "cancelled"
    [call] = await calls(clinic, visit)
    assert call["status"] == "cancelled"


async def test_a_second_mistake_lists_what_the_first_call_did_not(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), death(visit))
    await correct(clinic, visit)
    later = clinic.visit(patient_id=visit.patient_id)
    await clinic.tell(later.told(), death(visit, version=4))
    await correct(clinic, visit, version=5)
    first, second = await calls(clinic, visit)
    assert (first["status"], second["status"]) == ("cancelled", "requested")
    assert listed(second) == ["C24", "C72", "catch-up-call", "integration-session"]


async def test_where_nothing_was_missed_nobody_is_called(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.patient(visit)
    await clinic.tell(withdrawal(visit))
    await correct(clinic, visit)
    assert await calls(clinic, visit) == []


async def test_who_had_left_before_a_death_by_mistake_has_left_still(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), withdrawal(visit), death(visit, version=3))
    await clinic.patient(visit, version=4, status="withdrawn", death_corrected=4)
    later = clinic.visit(patient_id=visit.patient_id)
    await clinic.tell(later.told())
    assert (await clinic.states(later))["C24"] == "cancelled"
    assert await calls(clinic, visit) == []


async def test_nothing_that_waited_to_be_sent_leaves_after_the_correction(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.pass_time(timedelta(hours=24))
    waiting = "SELECT m.status FROM message m JOIN check_in c USING (clinic_id, check_in_id) WHERE c.infusion_id = :id"
    assert len(await clinic.rows(waiting, id=visit.infusion_id)) == 1
    await clinic.tell(death(visit))
    await correct(clinic, visit)
    await clinic.pass_time(timedelta(hours=48))
    assert {row["status"] for row in await clinic.rows(waiting, id=visit.infusion_id)} == {"cancelled"}
