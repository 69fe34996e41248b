"""A visit from booking to discharge, over HTTP, and what is told of it."""

import json
import re
from datetime import datetime, timedelta

import pytest

from services.sessions.infusions.states import InfusionState
from shared.events import sessions as events
from tests.sessions.clinic import NURSE, Clinic, mg


async def test_a_completed_infusion_is_told_with_all_that_follow_up_needs(clinic: Clinic) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.completed(person)
    told = await clinic.told(infusion_id)
    assert [type(event) for event in told] == [events.InfusionScheduled, events.InfusionStarted, events.InfusionCompleted]
    last = told[-1]
    assert isinstance(last, events.InfusionCompleted)
    assert (last.patient_id, last.course_id) == (person.patient_id, person.course_id)
    assert (last.patient_number, last.patient_time_zone) == ("P-0042", "America/Chicago")
    assert (last.therapist_id, last.coordinator_id) == (person.therapist_id, person.coordinator_id)
    assert (last.protocol_code, last.protocol_version) == ("default", 1)
    assert (last.drug_given, last.first_of_course) == (True, True)
    assert last.started_at == datetime.fromisoformat(clinic.at(-120))
    assert last.pump_ended_at == datetime.fromisoformat(clinic.at(-80))
    assert last.occurred_at == clinic.clock.now()
    assert last.infusion_version == 5


async def test_no_dose_no_reading_and_no_reason_is_in_any_event(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress(dose_ordered=mg(41.713))
    await clinic.step(infusion_id, "stop-early", clinic.stop_body(17.931, reason="canary-of-a-reason"))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    await clinic.step(infusion_id, "amend", {"reason": "canary-of-another", "dose_given": mg(18.377)})
    told = await clinic.told(infusion_id)
    assert len(told) == 4
    for event in told:
        wire = re.sub(r'"[0-9a-f-]{36}"', '""', event.to_bytes().decode())  # an id may hold any digits
        assert not [value for value in ("41.713", "17.931", "18.377", "canary", "122", "patient-request") if value in wire]
        assert not [name for name in json.loads(wire) if "dose" in name or "mg" in name or "reason" in name]


async def test_an_aborted_infusion_recovers_and_is_closed_by_discharge_as_stopped_early(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    stopped = await clinic.step(infusion_id, "stop-early", clinic.stop_body(15))
    assert (stopped["state"], stopped["aborted"], stopped["drug_given"]) == ("recovery", True, True)
    assert stopped["clinical"]["reason_code"] == "patient-request"
    closed = await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    assert closed["state"] == "stopped-early"
    last = (await clinic.told(infusion_id))[-1]
    assert isinstance(last, events.InfusionStoppedEarly)
    assert last.drug_given


async def test_an_infusion_stopped_before_it_gave_anything_is_told_as_without_drug(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    await clinic.step(infusion_id, "stop-early", clinic.stop_body(0))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(-79)})
    last = (await clinic.told(infusion_id))[-1]
    assert isinstance(last, events.InfusionStoppedEarly)
    assert (last.drug_given, last.first_of_course) == (False, False)


@pytest.mark.parametrize(
    ("step", "time", "kind"),
    [
        ("leave-against-advice", "left_at", events.InfusionLeftAgainstAdvice),
        ("transfer", "transferred_at", events.InfusionTransferred),
    ],
)
async def test_a_patient_may_go_while_the_pump_runs(clinic: Clinic, step: str, time: str, kind: type[events.EndedInfusionEvent]) -> None:
    infusion_id = await clinic.in_progress()
    body = {time: clinic.at(-75), "reason": "Went"}
    missing = await clinic.post(f"/infusions/{infusion_id}/{step}", body)
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (422, "/pump_end")
    gone = await clinic.step(infusion_id, step, {**body, "pump_end": clinic.pump_body(22)})
    assert gone["clinical"]["dose_given"] == {"value": 22, "unit": "mg"}
    last = (await clinic.told(infusion_id))[-1]
    assert isinstance(last, kind)
    assert last.drug_given
    versions = (await clinic.get(f"/infusions/{infusion_id}/versions")).json()["items"]
    assert [version["step"] for version in versions[-2:]] == ["pump-end", step]


@pytest.mark.parametrize(("step", "time"), [("leave-against-advice", "left_at"), ("transfer", "transferred_at")])
async def test_a_pump_ends_once(clinic: Clinic, step: str, time: str) -> None:
    infusion_id = await clinic.recovery()
    body = {time: clinic.at(0), "reason": "Went", "pump_end": clinic.pump_body(22)}
    answer = await clinic.post(f"/infusions/{infusion_id}/{step}", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "not-expected")


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (InfusionState.NOT_DONE, events.InfusionNotDone),
        (InfusionState.NO_SHOW, events.InfusionNoShow),
        (InfusionState.CANCELLED, events.InfusionCancelled),
    ],
)
async def test_a_visit_without_infusion_is_told(clinic: Clinic, state: InfusionState, kind: type[events.InfusionEvent]) -> None:
    infusion_id = await clinic.in_state(state)
    last = (await clinic.told(infusion_id))[-1]
    assert isinstance(last, kind)
    if isinstance(last, events.InfusionCancelled):
        assert last.cancelled_by == "patient"


async def test_a_moved_booking_is_told_again_with_its_new_time(clinic: Clinic) -> None:
    infusion_id = await clinic.scheduled()
    moved_to = clinic.clock.now() + timedelta(days=2)
    await clinic.step(infusion_id, "reschedule", {"scheduled_at": moved_to.isoformat(), "reason": "Snow"})
    last = (await clinic.told(infusion_id))[-1]
    assert isinstance(last, events.InfusionScheduled)
    assert (last.scheduled_at, last.infusion_version) == (moved_to, 2)


async def test_an_event_carries_what_is_known_at_its_moment(clinic: Clinic) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.recovery(person)
    person.therapist_id, person.coordinator_id = person.coordinator_id, person.therapist_id
    await clinic.tell(person.described(version=2, zone="America/Denver"), person.course(version=2, protocol_version=3))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    started, completed = (await clinic.told(infusion_id))[1:]
    assert isinstance(started, events.InfusionStarted)
    assert isinstance(completed, events.InfusionCompleted)
    assert (started.patient_time_zone, completed.patient_time_zone) == ("America/Chicago", "America/Denver")
    assert (started.protocol_version, completed.protocol_version) == (1, 3)
    assert (completed.therapist_id, completed.coordinator_id) == (started.coordinator_id, started.therapist_id)


async def test_what_is_entered_late_is_told_as_of_when_it_was(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    clinic.clock.advance(timedelta(hours=5))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(-4 * 60)})
    started, completed = (await clinic.told(infusion_id))[1:]
    assert isinstance(started, events.InfusionStarted)
    assert started.occurred_at == started.started_at
    assert completed.occurred_at == clinic.clock.now() - timedelta(hours=4)


async def test_only_the_first_infusion_with_drug_is_the_first_of_its_course(clinic: Clinic) -> None:
    person = await clinic.patient()
    empty = await clinic.in_progress(person)
    await clinic.step(empty, "stop-early", clinic.stop_body(0))
    await clinic.step(empty, "complete", {"discharged_at": clinic.at(0)})
    clinic.clock.advance(timedelta(days=2))
    first = await clinic.completed(person)
    clinic.clock.advance(timedelta(days=2))
    second = await clinic.completed(person)
    flags = [(await clinic.told(infusion_id))[-1].first_of_course for infusion_id in (empty, first, second)]  # type: ignore[attr-defined]
    assert flags == [False, True, False]


async def test_completing_twice_is_a_conflict(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    again = await clinic.post(f"/infusions/{infusion_id}/complete", {"discharged_at": clinic.at(0)})
    assert (again.status_code, again.json()["state"]) == (409, "completed")
    assert len(await clinic.told(infusion_id)) == 3


async def test_a_repeated_request_gets_its_first_answer_and_is_told_once(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    body = {"discharged_at": clinic.at(0)}
    first = await clinic.post(f"/infusions/{infusion_id}/complete", body, **{"Idempotency-Key": "the-same"})
    second = await clinic.post(f"/infusions/{infusion_id}/complete", body, **{"Idempotency-Key": "the-same"})
    assert (second.status_code, second.json()) == (200, first.json())
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(await clinic.told(infusion_id)) == 3


async def test_discharge_before_the_observation_is_over_waits_for_a_prescriber(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    early = {"discharged_at": clinic.at(-30)}
    refused = await clinic.post(f"/infusions/{infusion_id}/complete", early)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["state"]) == (409, "observation-not-over", "recovery")
    assert problem["allowed"][:2] == ["vital-signs", "complete"]
    decided = {**early, "observation_override": {"reason": "Inpatient, goes back to the ward"}}
    by_nurse = await clinic.post(f"/infusions/{infusion_id}/complete", decided)
    assert (by_nurse.status_code, by_nurse.json()["code"]) == (403, "prescriber-needed")
    done = await clinic.step(infusion_id, "complete", decided, acting="prescriber")
    assert done["clinical"]["overrides"][0]["rule"] == "observation-not-over"
    assert done["clinical"]["overrides"][0]["actor"] == f"Practitioner/{clinic.people['prescriber']}"


async def test_a_stale_view_changes_nothing(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    answer = await clinic.post(f"/infusions/{infusion_id}/complete", {"discharged_at": clinic.at(0)}, **{"If-Match": 'W/"1"'})
    assert (answer.status_code, answer.json()["code"]) == (412, "version-stale")
    fresh = await clinic.post(f"/infusions/{infusion_id}/complete", {"discharged_at": clinic.at(0)}, **{"If-Match": 'W/"4"'})
    assert (fresh.status_code, fresh.headers["ETag"]) == (200, 'W/"5"')


async def test_a_booking_says_where_it_is(clinic: Clinic) -> None:
    infusion_id = await clinic.scheduled()
    assert clinic.last is not None
    assert clinic.last.headers["Location"] == f"/sessions/v1/infusions/{infusion_id}"
    read = await clinic.get(clinic.last.headers["Location"], acting=NURSE)
    assert read.json() == {**clinic.last.json(), "differs_today": None}
    assert read.headers["ETag"] == 'W/"1"'


async def test_infusions_are_listed_by_booking_and_filtered(clinic: Clinic) -> None:
    person = await clinic.patient()
    ids = [await clinic.scheduled(person, at=clinic.clock.now() + timedelta(days=day)) for day in (4, 0, 2)]
    other = await clinic.scheduled()
    await clinic.step(other, "no-show")
    listed = (await clinic.get(f"/infusions?patient_id={person.patient_id}")).json()["items"]
    assert [item["infusion_id"] for item in listed] == [ids[1], ids[2], ids[0]]
    of_state = (await clinic.get("/infusions?state=no-show")).json()["items"]
    assert [item["infusion_id"] for item in of_state] == [other]
    until = (clinic.clock.now() + timedelta(days=2)).isoformat().replace("+", "%2B")
    early = (await clinic.get(f"/infusions?scheduled_to={until}&course_id={person.course_id}")).json()["items"]
    assert [item["infusion_id"] for item in early] == [ids[1]]


async def test_a_list_goes_on_page_by_page(clinic: Clinic) -> None:
    person = await clinic.patient()
    ids = [await clinic.scheduled(person, at=clinic.clock.now() + timedelta(days=day)) for day in range(5)]
    page = (await clinic.get("/infusions?limit=2")).json()
    seen = [item["infusion_id"] for item in page["items"]]
    while page["next"]:
        page = (await clinic.get(page["next"])).json()
        seen += [item["infusion_id"] for item in page["items"]]
    assert seen == ids
