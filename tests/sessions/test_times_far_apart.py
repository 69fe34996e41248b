"""Times of a visit that are each possible and too far from each other: refused, or asked about with what limit and why."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from services.sessions.infusions.states import InfusionState
from tests.sessions.clinic import CALM, COORDINATOR, NURSE, Clinic, Json

DAY = 24 * 60
WHY = {"reason": "Stayed in the clinic's ward"}


async def refused(clinic: Clinic, infusion_id: str, step: str, body: Json | None = None, *, acting: str = NURSE) -> Json:
    """The problem of a step that must change nothing."""
    before, told = await clinic.counts(), await clinic.told()
    answer = await clinic.post(f"/infusions/{infusion_id}/{step}", body, acting=acting, **await clinic.seen(infusion_id))
    assert answer.status_code in (409, 422), answer.text
    assert (await clinic.counts(), await clinic.told()) == (before, told)
    return answer.json()  # type: ignore[no-any-return]  # JSON is Any


async def asked(clinic: Clinic, infusion_id: str, step: str, body: Json, rule: str, *, acting: str = NURSE) -> None:
    """The step is asked about by that rule, and taken with a reason, which is kept."""
    problem = await refused(clinic, infusion_id, step, body, acting=acting)
    assert (problem["code"], problem["override"], [met["rule"] for met in problem["rules"]]) == ("needs-override", "time_override", [rule])
    assert problem["source"]
    await clinic.correct(infusion_id, step, {**body, "time_override": WHY}, acting=acting)
    kept = (await clinic.get(f"/infusions/{infusion_id}")).json()["clinical"]["overrides"]
    assert [(entry["rule"], entry["reason"]) for entry in kept] == [(rule, WHY["reason"])]


@pytest.mark.parametrize(("minutes", "status"), [(3 * DAY, 409), (1, 409), (0, 200), (-3 * DAY, 200)])
async def test_nobody_has_stayed_away_from_a_visit_that_is_still_to_come(clinic: Clinic, minutes: int, status: int) -> None:
    infusion_id = await clinic.scheduled(at=clinic.clock.now() + timedelta(minutes=minutes))
    answer = await clinic.post(f"/infusions/{infusion_id}/no-show", acting=COORDINATOR)
    assert answer.status_code == status
    if status == 409:
        assert answer.json()["code"] == "visit-not-due"
        assert (await clinic.get(f"/infusions/{infusion_id}")).json()["state"] == "scheduled"


@pytest.mark.parametrize("minutes", [3 * DAY, 12 * 60 + 1, -DAY - 1, -30 * DAY])
async def test_an_arrival_on_another_day_than_the_booking_is_asked_about(clinic: Clinic, minutes: int) -> None:
    infusion_id = await clinic.scheduled(at=clinic.clock.now() + timedelta(minutes=minutes))
    await asked(clinic, infusion_id, "check-in", {}, "arrival-far-from-booking", acting=COORDINATOR)


@pytest.mark.parametrize("minutes", [12 * 60, -DAY])
async def test_the_limit_itself_is_inside(clinic: Clinic, minutes: int) -> None:
    infusion_id = await clinic.scheduled(at=clinic.clock.now() + timedelta(minutes=minutes))
    await clinic.step(infusion_id, "check-in")


async def test_a_start_weeks_after_the_arrival_is_asked_about(clinic: Clinic) -> None:
    infusion_id = await clinic.scheduled(at=clinic.clock.now() - timedelta(days=30))
    await clinic.step(infusion_id, "check-in", {"arrived_at": clinic.at(-30 * DAY)})
    await clinic.read(infusion_id)
    await asked(clinic, infusion_id, "start", clinic.start_body(), "start-long-after-arrival")


@pytest.mark.parametrize(
    ("step", "time", "more"),
    [
        ("complete", "discharged_at", {}),
        ("leave-against-advice", "left_at", {"reason": "Went home"}),
        ("transfer", "transferred_at", {"reason": "Chest pain"}),
    ],
)
async def test_a_departure_weeks_after_the_pump_is_asked_about(clinic: Clinic, step: str, time: str, more: Json) -> None:
    infusion_id = await clinic.recovery()
    clinic.clock.advance(timedelta(days=30))
    await asked(clinic, infusion_id, step, {time: clinic.at(-60), **more}, "departure-long-after-pump")


async def test_a_late_entry_with_times_that_fit_is_asked_nothing(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    clinic.clock.advance(timedelta(days=30))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(-30 * DAY)})


@pytest.mark.parametrize(
    ("minutes", "changed", "rule"),
    [
        (40 * DAY, {"arrived_at": -20 * DAY}, "arrival-far-from-booking"),
        (40 * DAY, {"departed_at": -20 * DAY}, "departure-long-after-pump"),
    ],
)
async def test_an_amendment_is_no_way_around_it(clinic: Clinic, minutes: int, changed: dict[str, int], rule: str) -> None:
    infusion_id = await clinic.completed()
    clinic.clock.advance(timedelta(minutes=minutes))
    moved = {name: clinic.at(at - minutes if name == "arrived_at" else at) for name, at in changed.items()}
    problem = await refused(clinic, infusion_id, "amend", {"reason": "Typing mistake", **moved})
    assert (problem["code"], problem["override"], problem["rules"][0]["rule"]) == ("needs-override", "time_override", rule)
    await clinic.correct(infusion_id, "amend", {"reason": "Typing mistake", **moved, "time_override": WHY})


async def test_what_was_decided_about_is_not_asked_again_by_a_correction_of_something_else(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    clinic.clock.advance(timedelta(days=2))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(-60), "time_override": WHY})
    await clinic.correct(infusion_id, "amend", {"reason": "Log read", "dose_given": {"value": 39, "unit": "mg"}})


async def test_a_departure_that_a_reason_was_given_for_is_sent_again_without_a_question_and_is_no_amendment(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    clinic.clock.advance(timedelta(days=3))
    moved = {"reason": "Typing mistake", "departed_at": clinic.at(-60)}
    await asked(clinic, infusion_id, "amend", moved, "departure-long-after-pump")
    for again in (moved, {**moved, "time_override": WHY}):
        assert (await refused(clinic, infusion_id, "amend", again))["code"] == "nothing-to-amend"


async def test_two_times_that_a_reason_was_given_for_may_come_back_without_another_and_others_may_not(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    clinic.clock.advance(timedelta(days=3))
    moved = {"reason": "Typing mistake", "departed_at": clinic.at(-60)}
    await asked(clinic, infusion_id, "amend", moved, "departure-long-after-pump")
    await clinic.correct(infusion_id, "amend", {"reason": "Not so", "departed_at": clinic.at(-3 * DAY)})
    back = await clinic.correct(infusion_id, "amend", {**moved, "time_override": WHY})
    assert [entry["rule"] for entry in back["clinical"]["overrides"]] == ["departure-long-after-pump"]
    other = {**moved, "departed_at": clinic.at(-59)}
    assert (await refused(clinic, infusion_id, "amend", other))["override"] == "time_override"


async def test_a_reason_kept_by_an_older_version_without_its_times_is_not_taken_for_these(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    clinic.clock.advance(timedelta(days=2))
    left_at = clinic.at(-60)
    await clinic.step(infusion_id, "complete", {"discharged_at": left_at, "time_override": WHY})
    async with clinic.service.database.transaction(clinic.clinic_id) as db:
        await db.execute(text("UPDATE infusion SET overrides = jsonb_build_array((overrides -> 0) - 'times')"))
    await clinic.correct(infusion_id, "amend", {"reason": "Not so", "departed_at": clinic.at(-2 * DAY)})
    assert (await refused(clinic, infusion_id, "amend", {"reason": "So after all", "departed_at": left_at}))["override"] == "time_override"


async def test_an_arrival_taken_back_and_noted_again_is_asked_about_once(clinic: Clinic) -> None:
    infusion_id = await clinic.scheduled(at=clinic.clock.now() + timedelta(days=3))
    arrived = {"arrived_at": clinic.at(-5)}
    await asked(clinic, infusion_id, "check-in", arrived, "arrival-far-from-booking", acting=COORDINATOR)
    await clinic.correct(infusion_id, "restore", {"reason": "The wrong patient's visit"}, acting=COORDINATOR)
    assert (await refused(clinic, infusion_id, "check-in", {"arrived_at": clinic.at(-4)}))["override"] == "time_override"
    again = await clinic.step(infusion_id, "check-in", {**arrived, "time_override": WHY})
    assert [entry["rule"] for entry in again["clinical"]["overrides"]] == ["arrival-far-from-booking"]


@pytest.mark.parametrize(("minutes", "status"), [(-210, 201), (-210.1, 422), (-3 * DAY, 422)])
async def test_a_reading_belongs_to_the_visit(clinic: Clinic, minutes: float, status: int) -> None:
    infusion_id = await clinic.arrived()
    answer = await clinic.post(f"/infusions/{infusion_id}/vital-signs", {"measured_at": clinic.at(minutes), **CALM})
    assert answer.status_code == status
    if status == 422:
        assert (answer.json()["code"], answer.json()["errors"][0]["pointer"]) == ("interval-invalid", "/measured_at")


async def test_a_visit_that_was_moved_can_be_arrived_at(clinic: Clinic) -> None:
    infusion_id = await clinic.scheduled(at=clinic.clock.now() + timedelta(days=3))
    await clinic.step(infusion_id, "reschedule", {"scheduled_at": clinic.at(0)}, acting=COORDINATOR)
    assert (await clinic.step(infusion_id, "check-in"))["state"] == InfusionState.ARRIVED.value
