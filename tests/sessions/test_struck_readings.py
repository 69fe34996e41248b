"""Readings saved in error: struck with a reason, readable and not counted, and the check before the start judged again without them."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from services.sessions.infusions.states import InfusionState
from shared.events import sessions as events
from tests.sessions.clinic import CALM, COORDINATOR, DIRECTOR, NURSE, PRESCRIBER, Clinic, Json

TENSE = {**CALM, "systolic_mmhg": 168, "diastolic_mmhg": 98}


async def struck(clinic: Clinic, infusion_id: str, signs: Json, *, acting: str = NURSE) -> Json:
    answer = await clinic.strike(infusion_id, signs, acting=acting)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]  # JSON is Any


async def listed(clinic: Clinic, infusion_id: str, query: str = "") -> list[Json]:
    return (await clinic.get(f"/infusions/{infusion_id}/vital-signs{query}")).json()["items"]  # type: ignore[no-any-return]  # JSON is Any


async def test_struck_readings_stay_readable_with_who_when_and_why_and_are_left_out_of_the_list(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    (own,) = await listed(clinic, infusion_id)
    wrong = await clinic.read(infusion_id, minutes=-122, **TENSE)
    after = await struck(clinic, infusion_id, wrong)
    actor = f"Practitioner/{clinic.people[NURSE]}"
    assert after == {
        **wrong,
        "version": 2,
        "struck": {"actor": actor, "reason": "Readings of another patient", "at": "2026-11-23T14:00:00Z"},
    }
    assert await listed(clinic, infusion_id) == [own]
    assert await listed(clinic, infusion_id, "?with_struck=true") == [own, after]


async def test_a_start_is_held_again_once_the_reading_that_freed_it_is_struck(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(readings=TENSE)
    wrong = await clinic.read(infusion_id, minutes=-122)
    await struck(clinic, infusion_id, wrong)
    answer = await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body())
    assert (answer.status_code, answer.json()["code"]) == (409, "hold-criteria-met")
    assert [rule["rule"] for rule in answer.json()["rules"]] == ["systolic-high", "diastolic-high"]


async def test_a_struck_reading_holds_the_start_until_it_was_taken_again(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    await struck(clinic, infusion_id, await clinic.read(infusion_id, minutes=-122, **TENSE))
    await clinic.read(infusion_id, minutes=-121.5, systolic_mmhg=118, diastolic_mmhg=76)
    answer = await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body())
    assert (answer.status_code, answer.json()["code"]) == (409, "hold-criteria-met")
    assert [rule["rule"] for rule in answer.json()["rules"]] == ["systolic-high", "diastolic-high"]
    await clinic.read(infusion_id, minutes=-121)
    started = await clinic.step(infusion_id, "start", clinic.start_body())
    assert not started["needs_review"]


async def test_a_start_held_by_a_struck_reading_is_a_prescribers_to_decide_about(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    await struck(clinic, infusion_id, await clinic.read(infusion_id, minutes=-122, **TENSE))
    decided = clinic.start_body(hold_override={"reason": "The reading was another patient's"})
    by_nurse = await clinic.post(f"/infusions/{infusion_id}/start", decided, acting=NURSE)
    assert (by_nurse.status_code, by_nurse.json()["code"]) == (403, "prescriber-needed")
    started = await clinic.step(infusion_id, "start", decided, acting=PRESCRIBER)
    assert [entry["rule"] for entry in started["clinical"]["overrides"]] == ["hold-criteria-met"]
    assert not started["needs_review"]


async def test_a_start_is_marked_once_what_replaced_a_struck_holding_reading_is_struck_too(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    await struck(clinic, infusion_id, await clinic.read(infusion_id, minutes=-122, **TENSE))
    again = await clinic.read(infusion_id, minutes=-121)
    await clinic.step(infusion_id, "start", clinic.start_body())
    await struck(clinic, infusion_id, again)
    record = (await clinic.get(f"/infusions/{infusion_id}")).json()
    assert [mark["rules"] for mark in record["clinical"]["reviews"]] == [["systolic-high", "diastolic-high"]]


async def test_a_start_corrected_to_where_the_readings_held_one_is_marked_for_review(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(readings=TENSE)
    await clinic.read(infusion_id, minutes=-122)
    await clinic.step(infusion_id, "start", clinic.start_body())
    await clinic.step(infusion_id, "pump-end", clinic.pump_body())
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    inside = await clinic.correct(infusion_id, "amend", {"reason": "Log read", "pump_started_at": clinic.at(-121)})
    assert not inside["needs_review"]
    moved = await clinic.correct(infusion_id, "amend", {"reason": "Log read", "pump_started_at": clinic.at(-123)})
    (mark,) = moved["clinical"]["reviews"]
    assert (moved["needs_review"], mark["code"], mark["rules"]) == (True, "start-held", ["systolic-high", "diastolic-high"])
    *_, needed = await clinic.told(infusion_id)
    assert isinstance(needed, events.InfusionReviewNeeded)
    assert needed.code == "start-held"


async def test_a_start_corrected_to_where_it_was_both_barred_and_held_is_marked_and_told_for_each(clinic: Clinic) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.arrived(person, readings=TENSE)
    await clinic.read(infusion_id, minutes=-122)
    await clinic.step(infusion_id, "start", clinic.start_body())
    await clinic.step(infusion_id, "pump-end", clinic.pump_body())
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    await clinic.tell(person.standing("active", person.span(timedelta(minutes=-122))))
    moved = await clinic.correct(infusion_id, "amend", {"reason": "Log read", "pump_started_at": clinic.at(-123)})
    marks = [(mark["code"], mark["rules"]) for mark in moved["clinical"]["reviews"]]
    assert marks == [("start-barred", ["consent-missing"]), ("start-held", ["systolic-high", "diastolic-high"])]
    amended, *needed = (await clinic.told(infusion_id))[-3:]
    assert isinstance(amended, events.InfusionAmended)
    told = [(event.code, event.number) for event in needed if isinstance(event, events.InfusionReviewNeeded)]
    assert told == [("start-barred", 1), ("start-held", 2)]
    kept = (await clinic.get(f"/infusions/{infusion_id}/versions")).json()["items"]
    assert [version["step"] for version in kept[-3:]] == ["amend", "marked-for-review", "marked-for-review"]
    assert moved["version"] == kept[-1]["version"]


async def test_a_corrected_start_that_a_prescriber_had_decided_about_needs_no_review(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(readings=TENSE)
    await clinic.step(infusion_id, "start", clinic.start_body(hold_override={"reason": "Known white-coat effect"}), acting=PRESCRIBER)
    await clinic.step(infusion_id, "pump-end", clinic.pump_body())
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    moved = await clinic.correct(infusion_id, "amend", {"reason": "Log read", "pump_started_at": clinic.at(-123)})
    assert not moved["needs_review"]


@pytest.mark.parametrize("state", [InfusionState.IN_PROGRESS, InfusionState.RECOVERY, InfusionState.COMPLETED])
async def test_what_was_started_under_a_struck_reading_is_marked_for_review_and_told(clinic: Clinic, state: InfusionState) -> None:
    infusion_id = await clinic.in_state(state)
    (freed,) = await listed(clinic, infusion_id)
    await clinic.read(infusion_id, minutes=-130, **TENSE)
    told, version = await clinic.told(infusion_id), (await clinic.get(f"/infusions/{infusion_id}")).json()["version"]
    await struck(clinic, infusion_id, freed)
    record = (await clinic.get(f"/infusions/{infusion_id}")).json()
    assert (record["needs_review"], record["version"], record["state"]) == (True, version + 1, state.value)
    (mark,) = record["clinical"]["reviews"]
    assert (mark["code"], mark["rules"], mark["settled"]) == ("start-held", ["systolic-high", "diastolic-high"], None)
    *before, needed = await clinic.told(infusion_id)
    assert before == told
    assert isinstance(needed, events.InfusionReviewNeeded)
    assert (needed.code, needed.number, needed.started_at.isoformat()) == ("start-held", 1, clinic.at(-120))
    found = (await clinic.get("/infusions?needs_review=true")).json()["items"]
    assert [one["infusion_id"] for one in found] == [infusion_id]
    coordinators = (await clinic.get(f"/infusions/{infusion_id}", acting=COORDINATOR)).json()
    assert (coordinators["needs_review"], coordinators["clinical"]) == (True, None)


async def test_what_waits_to_be_looked_at_for_the_same_is_told_once(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    (freed,) = await listed(clinic, infusion_id)
    held = await clinic.read(infusion_id, minutes=-124, **TENSE)
    await struck(clinic, infusion_id, freed)
    await clinic.read(infusion_id, minutes=-123, **TENSE)
    assert len([event for event in await clinic.told(infusion_id) if isinstance(event, events.InfusionReviewNeeded)]) == 1
    assert held["struck"] is None


async def test_a_start_without_any_pressure_of_its_own_is_marked(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    await struck(clinic, infusion_id, (await listed(clinic, infusion_id))[0])
    record = (await clinic.get(f"/infusions/{infusion_id}")).json()
    assert [mark["rules"] for mark in record["clinical"]["reviews"]] == [["pressure-not-taken"]]


async def test_a_reading_before_the_start_that_is_saved_afterwards_marks_it_as_well(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    await clinic.read(infusion_id, minutes=-121, **TENSE)
    record = (await clinic.get(f"/infusions/{infusion_id}")).json()
    assert [mark["rules"] for mark in record["clinical"]["reviews"]] == [["systolic-high", "diastolic-high"]]


async def test_what_a_prescriber_had_decided_about_needs_no_review(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(readings=TENSE)
    decided = clinic.start_body(hold_override={"reason": "Known white-coat effect"})
    await clinic.step(infusion_id, "start", decided, acting=PRESCRIBER)
    await struck(clinic, infusion_id, await clinic.read(infusion_id, minutes=-121, **TENSE))
    assert not (await clinic.get(f"/infusions/{infusion_id}")).json()["needs_review"]


async def test_readings_after_the_start_change_nothing_about_it(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    await struck(clinic, infusion_id, await clinic.read(infusion_id, minutes=-100, **TENSE))
    assert not (await clinic.get(f"/infusions/{infusion_id}")).json()["needs_review"]


async def test_a_review_is_settled_by_a_prescriber_or_the_director_with_what_came_of_it(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    await struck(clinic, infusion_id, (await listed(clinic, infusion_id))[0])
    settled = {"reason": "Pressure read off the monitor's memory, within limits"}
    by_nurse = await clinic.post(f"/infusions/{infusion_id}/review", settled, **await clinic.seen(infusion_id))
    assert (by_nurse.status_code, by_nurse.json()["code"]) == (403, "role-missing")
    unseen = await clinic.post(f"/infusions/{infusion_id}/review", settled, acting=DIRECTOR)
    assert (unseen.status_code, unseen.json()["code"]) == (428, "if-match-required")
    done = await clinic.correct(infusion_id, "review", settled, acting=DIRECTOR)
    (mark,) = done["clinical"]["reviews"]
    assert (done["needs_review"], mark["settled"]["reason"]) == (False, settled["reason"])
    *_, told = await clinic.told(infusion_id)
    assert isinstance(told, events.InfusionReviewed)
    assert told.number == 1
    again = await clinic.post(f"/infusions/{infusion_id}/review", settled, acting=DIRECTOR, **await clinic.seen(infusion_id))
    assert (again.status_code, again.json()["code"]) == (409, "nothing-to-review")
    kept = (await clinic.get(f"/infusions/{infusion_id}/versions")).json()["items"]
    assert [version["step"] for version in kept[-2:]] == ["marked-for-review", "reviewed"]


async def test_a_review_that_was_settled_is_marked_anew_once_the_reading_it_was_about_is_struck(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    late = await clinic.read(infusion_id, minutes=-121, **TENSE)
    await clinic.correct(infusion_id, "review", {"reason": "Excited before the start, calm later"}, acting=DIRECTOR)
    await struck(clinic, infusion_id, late)
    record = (await clinic.get(f"/infusions/{infusion_id}")).json()
    marks = [(mark["rules"], mark["settled"] is not None) for mark in record["clinical"]["reviews"]]
    rules = ["systolic-high", "diastolic-high"]
    assert (record["needs_review"], marks) == (True, [(rules, True), (rules, False)])
    *_, needed = await clinic.told(infusion_id)
    assert isinstance(needed, events.InfusionReviewNeeded)
    assert (needed.code, needed.number) == ("start-held", 2)


async def test_the_right_reading_is_saved_after_the_discharge_from_paper_and_never_for_later(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    await clinic.step(infusion_id, "pump-end", clinic.pump_body())
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(-10)})
    assert (await clinic.read(infusion_id, minutes=-10))["struck"] is None
    late = await clinic.post(f"/infusions/{infusion_id}/vital-signs", {"measured_at": clinic.at(-9.9), **CALM})
    assert (late.status_code, late.json()["code"]) == (422, "interval-invalid")


async def test_striking_needs_the_version_that_was_seen_and_happens_once(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    signs = await clinic.read(infusion_id, minutes=-122)
    assert clinic.last is not None
    assert clinic.last.headers["ETag"] == 'W/"1"'
    path = f"/infusions/{infusion_id}/vital-signs/{signs['vital_signs_id']}/entered-in-error"
    unseen = await clinic.post(path, {"reason": "Wrong patient"})
    assert (unseen.status_code, unseen.json()["code"]) == (428, "if-match-required")
    assert (await clinic.strike(infusion_id, {**signs, "version": 2})).status_code == 412
    after = await struck(clinic, infusion_id, signs)
    assert (await clinic.strike(infusion_id, signs)).status_code == 412
    again = await clinic.strike(infusion_id, after)
    assert (again.status_code, again.json()["code"]) == (409, "already-struck")


async def test_nobody_without_a_clinical_role_strikes_and_no_reading_is_struck_through_another_visit(clinic: Clinic) -> None:
    infusion_id, other = await clinic.arrived(), await clinic.arrived()
    (signs,) = await listed(clinic, infusion_id)
    refused = await clinic.strike(infusion_id, signs, acting=COORDINATOR)
    assert (refused.status_code, refused.json()["code"]) == (403, "role-missing")
    assert (await clinic.strike(other, signs)).status_code == 404
    assert await listed(clinic, infusion_id) == [signs]


async def test_a_strike_needs_a_reason(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    (signs,) = await listed(clinic, infusion_id)
    path = f"/infusions/{infusion_id}/vital-signs/{signs['vital_signs_id']}/entered-in-error"
    for reason in ({}, {"reason": ""}, {"reason": "\u200b"}):
        assert (await clinic.post(path, reason, **{"If-Match": 'W/"1"'})).status_code == 422
    assert await listed(clinic, infusion_id) == [signs]


async def test_the_service_cannot_change_what_was_read_only_that_it_was_struck(clinic: Clinic) -> None:
    await clinic.arrived()
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with clinic.service.database.transaction(clinic.clinic_id) as db:
            await db.execute(text("UPDATE vital_signs SET systolic_mmhg = 120"))
