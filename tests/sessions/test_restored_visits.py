"""The way back from a check-in at the wrong visit, a cancellation, a no-show or a "not done" that was a mistake."""

import pytest

from services.sessions.infusions.states import InfusionState
from shared.events import sessions as events
from tests.sessions.clinic import COORDINATOR, NURSE, Clinic

WHY = {"reason": "It was the other patient's visit"}


async def test_an_arrival_at_the_wrong_visit_is_taken_back_and_the_visit_can_be_moved_again(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    told = await clinic.told(infusion_id)
    back = await clinic.correct(infusion_id, "restore", WHY, acting=COORDINATOR)
    assert (back["state"], back["arrived_at"]) == ("scheduled", None)
    assert await clinic.told(infusion_id) == told, "no arrival was ever told"
    kept = (await clinic.get(f"/infusions/{infusion_id}/versions")).json()["items"]
    assert (kept[-1]["step"], kept[-1]["reason"]) == ("restore", WHY["reason"])
    assert kept[-2]["record"]["arrived_at"]
    await clinic.step(infusion_id, "check-in", {"arrived_at": clinic.at(-140)})


@pytest.mark.parametrize(
    ("state", "before"), [(InfusionState.CANCELLED, "scheduled"), (InfusionState.NO_SHOW, "scheduled"), (InfusionState.NOT_DONE, "arrived")]
)
async def test_an_end_that_was_a_mistake_is_taken_back_and_the_visit_is_told_as_booked(
    clinic: Clinic, state: InfusionState, before: str
) -> None:
    infusion_id = await clinic.in_state(state)
    back = await clinic.correct(infusion_id, "restore", WHY)
    assert (back["state"], back["cancelled_by"], back["clinical"]["reason"]) == (before, None, None)
    last = (await clinic.told(infusion_id))[-1]
    assert isinstance(last, events.InfusionScheduled)
    assert last.infusion_version == back["version"]


async def test_a_visit_is_not_taken_back_beside_the_one_that_was_booked_instead(clinic: Clinic) -> None:
    person = await clinic.patient()
    gone = await clinic.scheduled(person)
    await clinic.step(gone, "cancel", {"cancelled_by": "clinic"})
    instead = await clinic.scheduled(person)
    answer = await clinic.post(f"/infusions/{gone}/restore", WHY, **await clinic.seen(gone))
    assert (answer.status_code, answer.json()["infusion_ids"]) == (409, [instead])
    both = await clinic.correct(gone, "restore", {**WHY, "duplicate_confirmation": {"reason": "Two that day"}})
    assert both["state"] == "scheduled"


async def test_what_the_chair_ended_the_desk_does_not_take_back(clinic: Clinic) -> None:
    infusion_id = await clinic.in_state(InfusionState.NOT_DONE)
    answer = await clinic.post(f"/infusions/{infusion_id}/restore", WHY, acting=COORDINATOR, **await clinic.seen(infusion_id))
    assert (answer.status_code, answer.json()["code"]) == (403, "role-missing")


async def test_taking_back_needs_the_version_that_was_seen(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    for headers, status in (({}, 428), ({"If-Match": 'W/"1"'}, 412)):
        assert (await clinic.post(f"/infusions/{infusion_id}/restore", WHY, acting=NURSE, **headers)).status_code == status
