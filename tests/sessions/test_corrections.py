"""Corrections over HTTP: amendments keep the original visible, and it takes two people to void a record."""

from datetime import datetime, timedelta

import pytest

from shared.events import sessions as events
from tests.sessions.clinic import CALM, DIRECTOR, NURSE, PRESCRIBER, THERAPIST, Clinic, Json, kg, mg


async def versions(clinic: Clinic, infusion_id: str) -> list[Json]:
    return (await clinic.get(f"/infusions/{infusion_id}/versions")).json()["items"]  # type: ignore[no-any-return]  # JSON is Any


async def amend(clinic: Clinic, infusion_id: str, acting: str = NURSE, **changed: object) -> Json:
    return await clinic.step(infusion_id, "amend", {"reason": "Typing mistake", **changed}, acting=acting)


async def test_every_change_is_a_version_that_says_who_and_why(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    await amend(clinic, infusion_id, acting=DIRECTOR, dose_given=mg(38))
    kept = await versions(clinic, infusion_id)
    assert [version["version"] for version in kept] == [1, 2, 3, 4, 5, 6]
    assert [version["step"] for version in kept] == ["schedule", "check-in", "start", "pump-end", "complete", "amend"]
    assert (kept[-1]["actor"], kept[-1]["reason"]) == (f"Practitioner/{clinic.people[DIRECTOR]}", "Typing mistake")
    assert kept[-1]["recorded_at"] == "2026-11-23T14:00:00Z"


async def test_an_amendment_keeps_the_original_visible(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    before = (await clinic.get(f"/infusions/{infusion_id}")).json()
    await amend(clinic, infusion_id, dose_given=mg(38), pump_ended_at=clinic.at(-85))
    kept = await versions(clinic, infusion_id)
    original, amended = kept[-2]["record"], kept[-1]["record"]
    assert original == {**before, "allowed": original["allowed"]}
    assert (original["clinical"]["dose_given"]["value"], amended["clinical"]["dose_given"]["value"]) == (40, 38)
    assert amended == (await clinic.get(f"/infusions/{infusion_id}")).json()


async def test_an_amendment_is_told_with_the_whole_corrected_state(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    clinic.clock.advance(timedelta(hours=3))
    moved = clinic.at(-5 * 60)
    await amend(clinic, infusion_id, pump_started_at=moved, outcome="left-against-advice")
    told = (await clinic.told(infusion_id))[-1]
    assert isinstance(told, events.InfusionAmended)
    assert (told.outcome, told.drug_given, told.first_of_course) == ("left-against-advice", True, True)
    assert (told.started_at, told.infusion_version) == (datetime.fromisoformat(moved), 6)
    assert told.occurred_at == clinic.clock.now()


async def test_a_dose_corrected_to_nothing_is_told_as_no_drug_given(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    await amend(clinic, infusion_id, dose_given=mg(0))
    told = (await clinic.told(infusion_id))[-1]
    assert isinstance(told, events.InfusionAmended)
    assert (told.drug_given, told.first_of_course) == (False, False)


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({}, 422, "nothing-to-amend"),
        ({"dose_given": mg(40)}, 422, "nothing-to-amend"),
        ({"outcome": "completed"}, 422, "nothing-to-amend"),
        ({"dose_given": mg(-1)}, 422, "dose-not-positive"),
        ({"dose_given": mg(900)}, 422, "dose-over-hard-limit"),
        ({"dose_given": 39}, 422, "unit-required"),
        ({"weight": {"value": 8, "unit": "kg"}}, 422, "weight-out-of-range"),
        ({"weight": {"value": 40, "unit": "kg"}}, 409, "needs-override"),
        ({"dose_given": mg(90)}, 409, "needs-override"),
        ({"volume_given": {"value": 4, "unit": "mL"}}, 422, "required"),
        ({"pump_ended_at": "2026-11-23T11:00:00Z"}, 422, "interval-invalid"),
        ({"pump_started_at": "2026-11-23T03:00:00Z"}, 422, "interval-invalid"),
        ({"pump_started_at": "2020-11-23T03:00:00Z"}, 422, "time-out-of-range"),
        ({"departed_at": "2026-11-23T12:00:00Z"}, 422, "interval-invalid"),
        ({"departed_at": "2026-11-23T13:00:00Z"}, 409, "observation-not-over"),
        ({"pump_ended_at": "2026-11-23T13:30:00Z"}, 409, "observation-not-over"),
        ({"pump_started_at": "2026-11-23T11:00:00Z"}, 422, "interval-invalid"),
        ({"arrived_at": "2026-11-23T12:10:00Z"}, 422, "interval-invalid"),
        ({"arrived_at": "2020-11-23T03:00:00Z"}, 422, "time-out-of-range"),
        ({"departed_at": "2026-11-24T12:00:00Z"}, 422, "time-out-of-range"),
        ({"outcome": "not-done"}, 422, "not-one-of"),
        ({"state": "completed"}, 422, "unknown-field"),
        ({"reason": None}, 422, "type"),
    ],
)
async def test_a_correction_is_held_before_the_same_rules(clinic: Clinic, changed: Json, status: int, code: str) -> None:
    infusion_id = await clinic.completed()
    before, told = await clinic.counts(), await clinic.told()
    answer = await clinic.post(f"/infusions/{infusion_id}/amend", {"reason": "Typing mistake", **changed})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert (await clinic.counts(), await clinic.told()) == (before, told)


async def test_an_unusual_correction_needs_a_prescribers_reason(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    decided = {"dose_given": mg(90), "dose_override": {"reason": "Read off the pump's log"}}
    by_nurse = await clinic.post(f"/infusions/{infusion_id}/amend", {"reason": "Typing mistake", **decided})
    assert by_nurse.status_code == 403
    amended = await amend(clinic, infusion_id, acting=PRESCRIBER, **decided)
    assert amended["clinical"]["overrides"][0]["rule"] == "needs-override"


async def test_a_discharge_corrected_to_before_the_observation_was_over_needs_a_prescribers_reason(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    decided = {"departed_at": clinic.at(-30), "observation_override": {"reason": "Went back to the ward"}}
    by_nurse = await clinic.post(f"/infusions/{infusion_id}/amend", {"reason": "Typing mistake", **decided})
    assert (by_nurse.status_code, by_nurse.json()["code"]) == (403, "prescriber-needed")
    amended = await amend(clinic, infusion_id, acting=PRESCRIBER, **decided)
    assert amended["clinical"]["overrides"][0]["rule"] == "observation-not-over"
    corrected = await amend(clinic, infusion_id, dose_given=mg(38), acting=PRESCRIBER, observation_override={"reason": "As before"})
    assert corrected["clinical"]["overrides"] == amended["clinical"]["overrides"], "nothing new was decided"
    assert (await amend(clinic, infusion_id, weight=kg(81)))["clinical"]["weight"]["value"] == 81


async def test_what_was_decided_about_a_discharge_holds_for_its_two_times_and_for_no_others(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    early = {"discharged_at": clinic.at(-30), "observation_override": {"reason": "Went back to the ward"}}
    await clinic.step(infusion_id, "complete", early, acting=PRESCRIBER)
    assert await amend(clinic, infusion_id, dose_given=mg(38), outcome="stopped-early")
    assert await amend(clinic, infusion_id, outcome="completed", departed_at=clinic.at(-30))
    earlier = await clinic.post(f"/infusions/{infusion_id}/amend", {"reason": "Typing mistake", "departed_at": clinic.at(-31)})
    assert (earlier.status_code, earlier.json()["code"]) == (409, "observation-not-over")


@pytest.mark.parametrize(
    "override", ["weight_override", "dose_override", "observation_override", "time_override", "duplicate_confirmation"]
)
async def test_a_reason_with_nothing_changed_is_no_amendment(clinic: Clinic, override: str) -> None:
    infusion_id = await clinic.completed()
    before, told = await clinic.counts(), await clinic.told()
    same = {"pump_started_at": clinic.at(-120), "pump_ended_at": clinic.at(-80), "departed_at": clinic.at(0), "weight": kg(80)}
    body = {"reason": "Looked again", **same, "dose_given": mg(40), override: {"reason": "It is so"}}
    answer = await clinic.post(f"/infusions/{infusion_id}/amend", body, acting=PRESCRIBER)
    assert (answer.status_code, answer.json()["code"]) == (422, "nothing-to-amend")
    assert (await clinic.counts(), await clinic.told()) == (before, told)


@pytest.mark.parametrize(("end", "status"), [("left-against-advice", 200), ("transferred", 200), ("stopped-early", 409)])
async def test_only_a_discharge_waits_for_the_observation(clinic: Clinic, end: str, status: int) -> None:
    infusion_id = await clinic.completed()
    body = {"reason": "Wrong end", "outcome": end, "departed_at": clinic.at(-60)}
    assert (await clinic.post(f"/infusions/{infusion_id}/amend", body)).status_code == status
    back = {"reason": "Right after all", "outcome": "completed"}
    assert (await clinic.post(f"/infusions/{infusion_id}/amend", back)).status_code == (409 if status == 200 else 422)


async def test_an_arrival_and_a_start_are_corrected_together(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    amended = await amend(clinic, infusion_id, arrived_at=clinic.at(-300), pump_started_at=clinic.at(-290))
    assert [datetime.fromisoformat(amended[name]) for name in ("arrived_at", "pump_started_at")] == [
        datetime.fromisoformat(clinic.at(minutes)) for minutes in (-300, -290)
    ]


async def test_a_start_corrected_onto_another_infusion_is_held_as_a_duplicate(clinic: Clinic) -> None:
    person = await clinic.patient()
    first = await clinic.completed(person)
    clinic.clock.advance(timedelta(hours=10))
    second = await clinic.completed(person)
    body = {"reason": "Wrong time", "arrived_at": clinic.at(-420), "pump_started_at": clinic.at(-400)}
    answer = await clinic.post(f"/infusions/{second}/amend", body)
    assert (answer.status_code, answer.json()["infusion_ids"]) == (409, [first])
    confirmed = await amend(clinic, second, **body, duplicate_confirmation={"reason": "Two that day"})
    assert confirmed["version"] == 7
    assert [mark["rules"] for mark in confirmed["clinical"]["reviews"]] == [["pressure-not-taken"]]


async def test_the_second_infusion_becomes_the_first_when_the_first_gave_nothing_after_all(clinic: Clinic) -> None:
    person = await clinic.patient()
    first = await clinic.completed(person)
    clinic.clock.advance(timedelta(days=2))
    second = await clinic.completed(person)
    await amend(clinic, first, dose_given=mg(0))
    told = (await clinic.told(second))[-1]
    assert isinstance(told, events.InfusionAmended)
    assert (told.first_of_course, told.drug_given, told.outcome, told.infusion_version) == (True, True, "completed", 6)
    kept = (await versions(clinic, second))[-1]
    assert (kept["step"], kept["record"]["first_of_course"]) == ("first-of-course", True)
    await amend(clinic, first, dose_given=mg(30))
    flags = [(await clinic.told(infusion_id))[-1].first_of_course for infusion_id in (first, second)]  # type: ignore[attr-defined]
    assert flags == [True, False]


async def test_the_second_infusion_becomes_the_first_when_the_first_should_not_exist(clinic: Clinic) -> None:
    person = await clinic.patient()
    first = await clinic.completed(person)
    clinic.clock.advance(timedelta(days=2))
    recovering = await clinic.recovery(person)
    await clinic.step(first, "entered-in-error", {"reason": "Wrong patient"})
    await clinic.step(first, "entered-in-error/confirm", {}, acting=PRESCRIBER)
    assert not [event for event in await clinic.told(recovering) if isinstance(event, events.InfusionAmended)]
    await clinic.step(recovering, "complete", {"discharged_at": clinic.at(0)})
    told = (await clinic.told(recovering))[-1]
    assert isinstance(told, events.InfusionCompleted)
    assert told.first_of_course


async def test_an_earlier_infusion_entered_late_takes_the_first_place(clinic: Clinic) -> None:
    person = await clinic.patient()
    late = await clinic.scheduled(person, at=clinic.clock.now() - timedelta(days=2))
    shown_first = await clinic.completed(person)
    await clinic.step(late, "check-in", {"arrived_at": clinic.at(-48 * 60 - 30)})
    await clinic.step(late, "vital-signs", {"measured_at": clinic.at(-48 * 60 - 10), **CALM})
    await clinic.step(late, "start", clinic.start_body(pump_started_at=clinic.at(-48 * 60)))
    await clinic.step(late, "pump-end", clinic.pump_body(pump_ended_at=clinic.at(-47 * 60)))
    told = (await clinic.told(shown_first))[-1]
    assert isinstance(told, events.InfusionAmended)
    assert not told.first_of_course
    await clinic.step(late, "complete", {"discharged_at": clinic.at(-45 * 60)})
    assert (await clinic.told(late))[-1].first_of_course  # type: ignore[attr-defined]


async def test_the_next_infusion_is_the_first_when_an_open_one_turns_out_to_have_given_nothing(clinic: Clinic) -> None:
    person = await clinic.patient()
    left_open = await clinic.in_progress(person)
    clinic.clock.advance(timedelta(hours=7))
    done = await clinic.completed(person)
    assert not (await clinic.told(done))[-1].first_of_course  # type: ignore[attr-defined]
    stopped_at = clinic.at(-9 * 60 + 1)
    await clinic.step(left_open, "stop-early", clinic.stop_body(0, pump_ended_at=stopped_at))
    told = (await clinic.told(done))[-1]
    assert isinstance(told, events.InfusionAmended)
    assert told.first_of_course


async def test_it_takes_two_people_to_void_a_record(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    told = await clinic.told()
    asked = await clinic.step(infusion_id, "entered-in-error", {"reason": "Wrong patient"}, acting=NURSE)
    assert (asked["state"], asked["entered_in_error"]["requested_by"]) == ("completed", str(clinic.people[NURSE]))
    assert await clinic.told() == told
    same = await clinic.post(f"/infusions/{infusion_id}/entered-in-error/confirm", {}, acting=NURSE)
    assert (same.status_code, same.json()["code"], same.json()["state"]) == (409, "second-person-needed", "completed")
    assert "confirm-entered-in-error" not in same.json()["allowed"], "it is allowed to somebody else only"
    assert "amend" in same.json()["allowed"]
    done = await clinic.step(infusion_id, "entered-in-error/confirm", {"reason": "I agree"}, acting=PRESCRIBER)
    assert (done["state"], done["entered_in_error"]["confirmed_by"]) == ("entered-in-error", str(clinic.people[PRESCRIBER]))
    assert isinstance((await clinic.told(infusion_id))[-1], events.InfusionEnteredInError)
    kept = await versions(clinic, infusion_id)
    assert [version["reason"] for version in kept[-2:]] == ["Wrong patient", "I agree"]
    assert kept[-3]["record"]["clinical"]["dose_given"]["value"] == 40


async def test_a_mistake_that_nobody_requested_cannot_be_confirmed(clinic: Clinic) -> None:
    answer = await clinic.post(f"/infusions/{await clinic.completed()}/entered-in-error/confirm", {}, acting=PRESCRIBER)
    assert (answer.status_code, answer.json()["allowed"]) == (409, ["vital-signs", "amend", "entered-in-error"])


async def test_a_machine_alone_corrects_nothing(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    for step, body in (("amend", {"reason": "x", "dose_given": mg(1)}), ("entered-in-error", {"reason": "x"})):
        answer = await clinic.post(f"/infusions/{infusion_id}/{step}", body, acting=None)
        assert (answer.status_code, answer.json()["code"]) == (403, "practitioner-required")


async def test_therapists_do_not_read_what_the_record_said(clinic: Clinic) -> None:
    answer = await clinic.get(f"/infusions/{await clinic.completed()}/versions", acting=THERAPIST)
    assert (answer.status_code, answer.json()["code"]) == (403, "role-missing")


async def test_a_voided_record_can_be_entered_again_for_whom_it_was(clinic: Clinic) -> None:
    person = await clinic.patient()
    wrong = await clinic.completed(person)
    await clinic.step(wrong, "entered-in-error", {"reason": "Entered twice"})
    await clinic.step(wrong, "entered-in-error/confirm", {}, acting=PRESCRIBER)
    right = await clinic.scheduled(person)
    await clinic.step(right, "check-in", {"arrived_at": clinic.at(-150)})
    await clinic.step(right, "vital-signs", {"measured_at": clinic.at(-125), **CALM})
    await clinic.step(right, "start", clinic.start_body())
