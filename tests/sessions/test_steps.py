"""Every state against every step, over HTTP: what is possible happens, what is not is refused with the state and what is possible."""

import pytest

from services.sessions.infusions.states import STEPS, InfusionState, Step
from tests.sessions.clinic import CALM, NURSE, PRESCRIBER, Clinic, Json

LEADS_TO: dict[tuple[str, str], str] = {
    ("scheduled", "reschedule"): "scheduled",
    ("scheduled", "cancel"): "cancelled",
    ("scheduled", "no-show"): "no-show",
    ("scheduled", "check-in"): "arrived",
    ("scheduled", "entered-in-error"): "scheduled",
    ("arrived", "not-done"): "not-done",
    ("arrived", "vital-signs"): "arrived",
    ("arrived", "restore"): "scheduled",
    ("arrived", "start"): "in-progress",
    ("arrived", "entered-in-error"): "arrived",
    ("in-progress", "vital-signs"): "in-progress",
    ("in-progress", "pump-end"): "recovery",
    ("in-progress", "stop-early"): "recovery",
    ("in-progress", "leave-against-advice"): "left-against-advice",
    ("in-progress", "transfer"): "transferred",
    ("in-progress", "entered-in-error"): "in-progress",
    ("recovery", "vital-signs"): "recovery",
    ("recovery", "complete"): "completed",
    ("recovery", "leave-against-advice"): "left-against-advice",
    ("recovery", "transfer"): "transferred",
    ("recovery", "entered-in-error"): "recovery",
    ("completed", "vital-signs"): "completed",
    ("completed", "amend"): "completed",
    ("completed", "entered-in-error"): "completed",
    ("stopped-early", "vital-signs"): "stopped-early",
    ("stopped-early", "amend"): "stopped-early",
    ("stopped-early", "entered-in-error"): "stopped-early",
    ("left-against-advice", "vital-signs"): "left-against-advice",
    ("left-against-advice", "amend"): "left-against-advice",
    ("left-against-advice", "entered-in-error"): "left-against-advice",
    ("transferred", "vital-signs"): "transferred",
    ("transferred", "amend"): "transferred",
    ("transferred", "entered-in-error"): "transferred",
    ("cancelled", "restore"): "scheduled",
    ("cancelled", "entered-in-error"): "cancelled",
    ("no-show", "restore"): "scheduled",
    ("no-show", "entered-in-error"): "no-show",
    ("not-done", "restore"): "arrived",
    ("not-done", "entered-in-error"): "not-done",
}
"""The whole state machine, written a second time; whatever is not here is refused. A request to enter in error changes no state."""


def bodies(clinic: Clinic, state: InfusionState) -> dict[Step, Json]:
    """A body for each step that is refused for nothing but the state."""
    pump_end = {"pump_end": clinic.pump_body()} if state is InfusionState.IN_PROGRESS else {}
    return {
        Step.RESCHEDULE: {"scheduled_at": clinic.at(60)},
        Step.CANCEL: {"cancelled_by": "clinic", "reason": "No nurse"},
        Step.NO_SHOW: {},
        Step.CHECK_IN: {},
        Step.NOT_DONE: {"reason": "Pressure too high"},
        Step.VITAL_SIGNS: {"measured_at": clinic.at(-30), **CALM},
        Step.START: clinic.start_body(),
        Step.PUMP_END: clinic.pump_body(),
        Step.STOP_EARLY: clinic.stop_body(12.5),
        Step.COMPLETE: {"discharged_at": clinic.at(0)},
        Step.LEAVE_AGAINST_ADVICE: {"left_at": clinic.at(0), "reason": "Bus", **pump_end},
        Step.TRANSFER: {"transferred_at": clinic.at(0), "reason": "Chest pain", **pump_end},
        Step.AMEND: {"reason": "Typing mistake", "dose_given": {"value": 39.5, "unit": "mg"}},
        Step.ENTERED_IN_ERROR: {"reason": "Wrong patient"},
        Step.RESTORE: {"reason": "Another patient's visit"},
        Step.CONFIRM_ENTERED_IN_ERROR: {},
        Step.WITHDRAW_ENTERED_IN_ERROR: {"reason": "Right after all"},
    }


@pytest.mark.parametrize("state", list(InfusionState))
async def test_what_is_not_possible_is_refused_with_the_state_and_what_is(clinic: Clinic, state: InfusionState) -> None:
    infusion_id = await clinic.in_state(state)
    before, told = await clinic.counts(), await clinic.told()
    now_possible = (await clinic.get(f"/infusions/{infusion_id}")).json()["allowed"]
    seen = await clinic.seen(infusion_id)
    for step, body in bodies(clinic, state).items():
        if (state.value, step.value) in LEADS_TO:
            assert step.value in now_possible
            continue
        answer = await clinic.post(f"/infusions/{infusion_id}/{step}", body, acting=PRESCRIBER, **seen)
        assert answer.status_code == 409, (state, step, answer.text)
        problem = answer.json()
        assert (problem["code"], problem["state"], problem["allowed"]) == ("state", state.value, now_possible), (state, step)
    assert set(now_possible) == {step for from_state, step in LEADS_TO if from_state == state.value}
    assert (await clinic.counts(), await clinic.told()) == (before, told)


@pytest.mark.parametrize(("state", "step"), LEADS_TO)
async def test_what_is_possible_leads_where_it_should(clinic: Clinic, state: str, step: str) -> None:
    infusion_id = await clinic.in_state(InfusionState(state))
    before = (await clinic.get(f"/infusions/{infusion_id}")).json()
    await clinic.correct(infusion_id, step, bodies(clinic, InfusionState(state))[Step(step)])
    after = (await clinic.get(f"/infusions/{infusion_id}")).json()
    assert after["state"] == LEADS_TO[state, step]
    assert after["version"] == before["version"] + _versions_made(state, step)


def _versions_made(state: str, step: str) -> int:
    """Readings are no version of the record; leaving while the pump runs is two."""
    if step == "vital-signs":
        return 0
    return 2 if state == "in-progress" and step in ("leave-against-advice", "transfer") else 1


@pytest.mark.parametrize("state", [state for state in InfusionState if STEPS[state]])
async def test_a_requested_mistake_can_be_confirmed_and_not_requested_again_from_any_state(clinic: Clinic, state: InfusionState) -> None:
    infusion_id = await clinic.in_state(state)
    asked = await clinic.step(infusion_id, "entered-in-error", {"reason": "Should not exist"})
    assert "entered-in-error/confirm" in asked["allowed"]
    assert "entered-in-error" not in asked["allowed"]
    again = await clinic.post(f"/infusions/{infusion_id}/entered-in-error", {"reason": "Again"}, acting=PRESCRIBER)
    assert (again.status_code, again.json()["code"]) == (409, "state")
    done = await clinic.step(infusion_id, "entered-in-error/confirm", {}, acting=PRESCRIBER)
    assert (done["state"], done["allowed"]) == ("entered-in-error", [])


@pytest.mark.parametrize("state", [state for state in InfusionState if STEPS[state]])
async def test_a_request_that_was_a_mistake_is_withdrawn_and_may_be_made_again(clinic: Clinic, state: InfusionState) -> None:
    infusion_id = await clinic.in_state(state)
    told = await clinic.told(infusion_id)
    asked = await clinic.step(infusion_id, "entered-in-error", {"reason": "Should not exist"})
    assert "entered-in-error/withdraw" in asked["allowed"]
    path, body = f"/infusions/{infusion_id}/entered-in-error/withdraw", {"reason": "The other record it is"}
    assert (await clinic.post(path, body)).status_code == 428
    withdrawn = await clinic.correct(infusion_id, "entered-in-error/withdraw", body)
    assert (withdrawn["state"], withdrawn["entered_in_error"]) == (state.value, None)
    confirmed = await clinic.post(f"/infusions/{infusion_id}/entered-in-error/confirm", {}, acting=PRESCRIBER)
    assert (confirmed.status_code, confirmed.json()["code"]) == (409, "state")
    assert await clinic.told(infusion_id) == told
    assert "entered-in-error" in withdrawn["allowed"]


async def test_care_goes_on_while_a_mistake_is_only_requested(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    await clinic.step(infusion_id, "entered-in-error", {"reason": "Wrong patient?"})
    recovered = await clinic.step(infusion_id, "pump-end", clinic.pump_body(), acting=NURSE)
    assert recovered["state"] == "recovery"
