"""A death or a withdrawal that was recorded by mistake: follow-up goes on, and one call makes up for what was missed."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.events import Event
from shared.events import intake as people
from shared.events import sessions as infusions
from tests.followup.clinic import NURSE, Clinic, Json, Visit

WEEK = timedelta(days=7)
LATER = timedelta(hours=80)


def death(visit: Visit, version: int = 2) -> Event:
    return people.PatientDeceased(occurred_at=visit.clock.now(), patient_id=visit.patient_id, patient_version=version)


def withdrawal(visit: Visit, version: int = 2) -> Event:
    return people.PatientWithdrawn(occurred_at=visit.clock.now(), patient_id=visit.patient_id, patient_version=version)


MISTAKES = {"death": death, "withdrawal": withdrawal}


async def correct(clinic: Clinic, visit: Visit, version: int = 3, *, after: timedelta = LATER) -> None:
    """A clinician declares it entered in error: intake tells the patient's whole state. By then all that was asked is past due."""
    await clinic.pass_time(after)
    await clinic.patient(visit, version=version, status="active", death_corrected=version)


async def calls(clinic: Clinic, visit: Visit) -> list[Json]:
    made = "SELECT * FROM care_task WHERE kind = 'catch-up-call' AND patient_id = :id ORDER BY created_at, ordinal"
    return await clinic.rows(made, id=visit.patient_id)


async def call_back(clinic: Clinic, visit: Visit, how_it_ended: Json) -> None:
    """Somebody takes the call, and makes it."""
    [call] = await calls(clinic, visit)
    await clinic.post(f"tasks/{call['task_id']}/claim", role=NURSE)
    assert (await clinic.post(f"tasks/{call['task_id']}/complete", how_it_ended, role=NURSE)).status_code == 200


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
    [line] = [line for line in read["lists"] if line.startswith("24-hour check-in, after the infusion of ")]
    assert line.endswith(": called off by a record that was wrong")


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
    assert [row["ordinal"] for row in asked] == [1, 2]


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_the_weeks_that_passed_meanwhile_are_listed_and_not_asked(clinic: Clinic, mistake: Callable[[Visit], Event]) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), mistake(visit))
    await clinic.pass_time(WEEK)
    await clinic.pass_time(WEEK)
    await correct(clinic, visit)
    [call] = await calls(clinic, visit)
    assert listed(call) == ["C24", "C72", "WK", "WK", "integration-session"]
    weeks = await clinic.rows("SELECT status FROM check_in WHERE course_id = :id AND code = 'WK'", id=visit.course_id)
    assert [row["status"] for row in weeks] == ["cancelled", "cancelled"], "so that the set can be counted"


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
    assert [row["status"] for row in await clinic.rows(reviews, id=visit.patient_id)] == ["cancelled"]


async def test_an_infusion_that_ended_while_the_patient_was_recorded_as_dead_is_in_the_call(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(death(visit), visit.told())
    await correct(clinic, visit)
    [call] = await calls(clinic, visit)
    assert listed(call) == ["C24", "C72", "integration-session"]


async def test_a_correction_that_is_heard_before_the_death_leaves_follow_up_as_it_is(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await correct(clinic, visit, after=timedelta())
    await clinic.tell(death(visit))
    await clinic.patient(visit, version=2, status="deceased")
    assert (await clinic.states(visit))["C24"] == "planned"
    assert await calls(clinic, visit) == []


async def test_a_later_change_tells_of_the_correction_as_well(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), death(visit))
    await clinic.pass_time(LATER)
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


async def test_a_second_mistake_lists_what_the_first_call_did_and_what_came_since(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), death(visit))
    await correct(clinic, visit)
    later = clinic.visit(patient_id=visit.patient_id)
    await clinic.tell(later.told(), death(visit, version=4))
    await correct(clinic, visit, version=5)
    first, second = await calls(clinic, visit)
    assert (first["status"], second["status"]) == ("cancelled", "requested")
    assert listed(second) == sorted(["C24", "C72", "integration-session"] * 2)


@pytest.mark.parametrize("claimed", [False, True], ids=["not taken", "taken"])
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_a_call_that_the_next_mistake_called_off_hides_nothing_that_it_listed(
    clinic: Clinic, mistake: Callable[[Visit, int], Event], claimed: bool
) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), mistake(visit, 2))
    await correct(clinic, visit)
    if claimed:
        [call] = await calls(clinic, visit)
        await clinic.post(f"tasks/{call['task_id']}/claim", role=NURSE)
    for version in (4, 6):
        await clinic.tell(mistake(visit, version))
        await correct(clinic, visit, version + 1, after=timedelta(minutes=1))
    assert await open_of(clinic, visit) == ["catch-up-call"]
    call = (await calls(clinic, visit))[-1]
    assert listed(call) == ["C24", "C72", "integration-session"]
    read = (await clinic.get(f"tasks/{call['task_id']}")).json()
    assert "24-hour check-in" in read["why"]
    assert any(line.startswith("72-hour check-in") and line.endswith(": called off by a record that was wrong") for line in read["lists"])


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_a_mistake_after_a_late_entry_hides_nothing_that_its_call_listed(clinic: Clinic, mistake: Callable[[Visit], Event]) -> None:
    visit = clinic.visit()
    late = clinic.clock.now() - timedelta(hours=80)
    await clinic.tell(visit.told(pump_ended_at=late), mistake(visit))
    await correct(clinic, visit)
    *_, call = await calls(clinic, visit)
    assert listed(call) == ["C24", "C72", "integration-session"]
    read = (await clinic.get(f"tasks/{call['task_id']}")).json()
    [line] = [line for line in read["lists"] if line.startswith("24-hour check-in, after the infusion of ")]
    assert line.endswith(": called off by a record that was wrong")


@pytest.mark.parametrize("departure", MISTAKES.values(), ids=MISTAKES)
async def test_the_review_of_a_real_departure_names_what_a_call_listed_that_was_called_off(
    clinic: Clinic, departure: Callable[[Visit, int], Event]
) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), death(visit))
    await correct(clinic, visit)
    await clinic.tell(departure(visit, 4))
    reviews = "SELECT * FROM care_task WHERE kind = 'cancellation-review' AND patient_id = :id AND status = 'requested'"
    [review] = await clinic.rows(reviews, id=visit.patient_id)
    assert listed(review) == ["C24", "C72", "integration-session"]
    assert review["facts"]["cancelled"] == ["C24", "C72", "integration-session"]


@pytest.mark.parametrize("end", ["entered in error", "no drug given"])
async def test_the_review_of_an_infusion_that_does_not_count_names_what_its_call_listed(clinic: Clinic, end: str) -> None:
    visit = clinic.visit()
    late = clinic.clock.now() - timedelta(hours=80)
    await clinic.tell(visit.told(pump_ended_at=late))
    if end == "entered in error":
        await clinic.tell(visit.told(infusions.InfusionEnteredInError, version=5))
    else:
        await clinic.tell(visit.told(infusions.InfusionAmended, version=5, pump_ended_at=late, drug_given=False))
    reviews = "SELECT * FROM care_task WHERE kind = 'cancellation-review' AND patient_id = :id"
    [review] = await clinic.rows(reviews, id=visit.patient_id)
    assert {"C24", "C72"} <= set(listed(review))
    assert "catch-up-call" not in listed(review)


async def test_a_call_that_was_made_keeps_what_it_listed_off_the_next(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), death(visit))
    await correct(clinic, visit)
    await call_back(clinic, visit, {"outcome": "reached"})
    await clinic.tell(death(visit, version=4))
    await correct(clinic, visit, version=5)
    assert len(await calls(clinic, visit)) == 1


async def test_a_call_without_an_answer_keeps_nothing_off_the_next_when_its_next_attempt_is_called_off(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), death(visit))
    await correct(clinic, visit)
    again = (clinic.clock.now() + timedelta(hours=3)).isoformat()
    await call_back(clinic, visit, {"outcome": "no-answer", "retry_at": again})
    await clinic.tell(death(visit, version=4))
    await correct(clinic, visit, version=5)
    assert listed((await calls(clinic, visit))[-1]) == ["C24", "C72", "integration-session"]


async def test_the_weeks_that_a_called_off_call_listed_are_in_the_next_with_those_since(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), death(visit))
    await clinic.pass_time(WEEK)
    await correct(clinic, visit)
    await clinic.tell(withdrawal(visit, version=4))
    await clinic.pass_time(WEEK)
    await clinic.tell(death(visit, version=5))
    await clinic.pass_time(WEEK)
    await correct(clinic, visit, version=6)
    [call] = [call for call in await calls(clinic, visit) if call["status"] == "requested"]
    assert listed(call) == ["C24", "C72", "WK", "WK", "WK", "integration-session"]


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


async def took_the_offer(clinic: Clinic) -> None:
    """Somebody calls, and speaks to the patient."""
    [offer] = await clinic.rows(f"SELECT task_id FROM care_task WHERE kind = 'safety-offer-call' AND {_OPEN}")  # noqa: S608 - our own text
    await clinic.post(f"tasks/{offer['task_id']}/claim", role=NURSE)
    await clinic.post(f"tasks/{offer['task_id']}/complete", {"outcome": "reached"}, role=NURSE)


async def back_to_withdrawn(clinic: Clinic, visit: Visit, version: int) -> None:
    """The death is declared entered in error; that the patient has left is not."""
    await clinic.patient(visit, version=version, status="withdrawn", death_corrected=version)


async def open_of(clinic: Clinic, visit: Visit) -> list[str]:
    theirs = f"SELECT kind FROM care_task WHERE patient_id = :id AND {_OPEN} ORDER BY kind"  # noqa: S608 - our own text
    rows = await clinic.rows(theirs, id=visit.patient_id)
    return [row["kind"] for row in rows]


async def offers_of(clinic: Clinic, visit: Visit) -> list[str]:
    made = "SELECT status FROM care_task WHERE kind = 'safety-offer-call' AND patient_id = :id ORDER BY status"
    return [row["status"] for row in await clinic.rows(made, id=visit.patient_id)]


@pytest.mark.parametrize("called", [False, True], ids=["not called", "called"])
async def test_who_leaves_again_after_a_withdrawal_by_mistake_is_offered_a_call_again(clinic: Clinic, called: bool) -> None:
    visit = clinic.visit()
    ended = visit.told()
    await clinic.tell(ended, withdrawal(visit))
    if called:
        await took_the_offer(clinic)
    await correct(clinic, visit, after=timedelta())
    await clinic.tell(withdrawal(visit, version=4), ended)
    await clinic.patient(visit, version=5, status="withdrawn")
    await clinic.tell(ended)
    assert await offers_of(clinic, visit) == ["completed" if called else "cancelled", "requested"]


async def test_who_revokes_consent_is_offered_no_call_while_something_still_asks_after_the_infusion(clinic: Clinic) -> None:
    visit = clinic.visit()
    ended = visit.told()
    await clinic.tell(ended, clinic.consent(visit, "revoked"), clinic.consent(visit, "active", version=2))
    await clinic.tell(clinic.consent(visit, "revoked", version=3), ended)
    assert await offers_of(clinic, visit) == []
    assert {(await clinic.states(visit))[code] for code in ("C24", "C72")} == {"planned"}


async def test_a_death_by_mistake_gives_back_the_offer_to_who_had_left(clinic: Clinic) -> None:
    visit = clinic.visit()
    ended = visit.told()
    await clinic.tell(ended, withdrawal(visit), death(visit, version=3))
    await back_to_withdrawn(clinic, visit, 4)
    await clinic.tell(ended)
    assert await offers_of(clinic, visit) == ["cancelled", "requested"]
    assert await open_of(clinic, visit) == ["cancellation-review", "safety-offer-call"], "the review of the withdrawal, not of the death"


async def test_an_offer_that_was_taken_before_a_death_by_mistake_is_not_made_again(clinic: Clinic) -> None:
    visit = clinic.visit()
    ended = visit.told()
    await clinic.tell(ended, withdrawal(visit))
    await took_the_offer(clinic)
    await clinic.tell(death(visit, version=3))
    await back_to_withdrawn(clinic, visit, 4)
    await clinic.tell(ended)
    assert await offers_of(clinic, visit) == ["completed"]


async def test_an_offer_whose_time_a_death_by_mistake_took_is_made_up_for_by_a_call(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), withdrawal(visit), death(visit, version=3))
    await clinic.pass_time(timedelta(days=4))
    await back_to_withdrawn(clinic, visit, 4)
    [call] = await calls(clinic, visit)
    assert (call["status"], listed(call)) == ("requested", ["safety-offer-call"])


async def test_a_clinicians_urgent_call_that_a_death_by_mistake_called_off_is_made_up_for(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionLeftAgainstAdvice), withdrawal(visit), death(visit, version=3))
    await back_to_withdrawn(clinic, visit, 4)
    assert await calls(clinic, visit) == []
    assert "left-against-advice" in await open_of(clinic, visit), "it is in time still"


@pytest.mark.parametrize("at_once", [True, False], ids=["both corrected at once", "one after the other"])
async def test_after_both_mistakes_nobody_reads_of_either_and_all_is_called_about_once(clinic: Clinic, at_once: bool) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), withdrawal(visit), death(visit, version=3))
    if not at_once:
        await back_to_withdrawn(clinic, visit, 4)
    await clinic.pass_time(LATER)
    await clinic.patient(visit, version=5, status="active", death_corrected=4)
    assert await open_of(clinic, visit) == ["catch-up-call"]
    assert {"C24", "C72", "integration-session"} <= {code for call in await calls(clinic, visit) for code in listed(call)}


async def test_what_a_death_called_off_of_who_is_then_said_to_have_left_is_in_the_call_when_they_are_back(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), death(visit))
    await back_to_withdrawn(clinic, visit, 3)
    assert await calls(clinic, visit) == [], "who has left is not asked"
    await clinic.pass_time(LATER)
    await clinic.patient(visit, version=4, status="active", death_corrected=3)
    [call] = await calls(clinic, visit)
    assert {"C24", "C72", "integration-session"} <= set(listed(call))


async def test_consent_that_is_signed_again_chases_the_session_again_and_calls_about_nothing(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), clinic.consent(visit, "revoked"), clinic.consent(visit, "active", version=2))
    assert await open_of(clinic, visit) == ["integration-session"]
    assert await calls(clinic, visit) == [], "what still asks after the infusion was never called off"


async def test_consent_of_an_intake_of_the_release_before_that_is_signed_again_closes_the_offer(clinic: Clinic) -> None:
    visit = clinic.visit()
    told: Json = {"patient_id": visit.patient_id, "consent_type": "treatment", "consent_id": uuid4()}
    await clinic.tell(visit.told(), people.ConsentRevoked(occurred_at=clinic.clock.now(), **told))
    clinic.clock.advance(timedelta(minutes=1))
    now = clinic.clock.now()
    await clinic.tell(people.ConsentSigned(occurred_at=now, consent_version="2", signed_at=now, valid_until=now + WEEK, **told))
    assert await open_of(clinic, visit) == ["integration-session"]


async def test_who_signs_again_after_leaving_by_mistake_is_called_about_both_once_they_are_back(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), clinic.consent(visit, "revoked"), withdrawal(visit), clinic.consent(visit, "active", version=2))
    assert await calls(clinic, visit) == []
    assert await offers_of(clinic, visit) == ["requested"], "the offer after the withdrawal stays"
    await correct(clinic, visit)
    assert await open_of(clinic, visit) == ["catch-up-call"]
    [call] = await calls(clinic, visit)
    assert {"C24", "C72", "integration-session"} <= set(listed(call))


_OPEN = "status IN ('requested', 'accepted', 'on-hold')"
