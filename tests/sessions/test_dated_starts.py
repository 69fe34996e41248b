"""A start that is entered after readings that held it, and dated before them: it stands, and a prescriber looks at it."""

import pytest

from shared.events import sessions as events
from tests.sessions.clinic import CALM, PRESCRIBER, Clinic, Json

TENSE = {**CALM, "systolic_mmhg": 178, "diastolic_mmhg": 108}
HELD = ["systolic-high", "diastolic-high"]


async def started(clinic: Clinic, infusion_id: str, minutes: float, **other: object) -> Json:
    acting = {"acting": PRESCRIBER} if "hold_override" in other else {}
    return await clinic.step(infusion_id, "start", clinic.start_body(pump_started_at=clinic.at(minutes), **other), **acting)


async def marks(clinic: Clinic, infusion_id: str) -> list[tuple[str, list[str]]]:
    record = (await clinic.get(f"/infusions/{infusion_id}")).json()
    assert record["needs_review"] == bool(record["clinical"]["reviews"])
    return [(mark["code"], mark["rules"]) for mark in record["clinical"]["reviews"]]


async def test_a_start_dated_before_a_reading_that_held_it_is_marked_and_told(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(readings={})
    await clinic.read(infusion_id, minutes=-5, **TENSE)
    await clinic.read(infusion_id, minutes=-9)
    answer = await started(clinic, infusion_id, -7)
    assert (answer["state"], answer["needs_review"]) == ("in-progress", True)
    assert await marks(clinic, infusion_id) == [("start-before-hold", HELD)]
    *_, needed = await clinic.told(infusion_id)
    assert isinstance(needed, events.InfusionReviewNeeded)
    assert (needed.code, needed.started_at.isoformat()) == ("start-before-hold", clinic.at(-7))


async def test_a_holding_reading_that_was_struck_or_was_followed_by_a_calm_one_still_marks_such_a_start(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(readings={})
    await clinic.read(infusion_id, minutes=-12)
    tense = await clinic.read(infusion_id, minutes=-8, **TENSE)
    assert (await clinic.strike(infusion_id, tense)).status_code == 200
    await clinic.read(infusion_id, minutes=-1)
    await started(clinic, infusion_id, -10)
    assert await marks(clinic, infusion_id) == [("start-before-hold", HELD)]


@pytest.mark.parametrize(("age", "marked"), [(60, True), (61, False)])
async def test_a_visit_written_up_from_paper_is_not_marked_for_the_peaks_after_its_start(clinic: Clinic, age: float, marked: bool) -> None:
    infusion_id = await clinic.arrived()
    await clinic.read(infusion_id, minutes=-age, **TENSE)
    await started(clinic, infusion_id, -120)
    assert await marks(clinic, infusion_id) == ([("start-before-hold", HELD)] if marked else [])


async def test_a_start_after_a_calm_reading_that_followed_a_holding_one_is_not_marked(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(readings={})
    await clinic.read(infusion_id, minutes=-8, **TENSE)
    await clinic.read(infusion_id, minutes=-3)
    await started(clinic, infusion_id, -2)
    assert await marks(clinic, infusion_id) == []


async def test_peaks_that_are_saved_after_the_start_was_entered_do_not_mark_it(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(readings={})
    await clinic.read(infusion_id, minutes=-9)
    await started(clinic, infusion_id, -7)
    await clinic.read(infusion_id, minutes=-1, **TENSE)
    assert await marks(clinic, infusion_id) == []


async def test_what_a_prescriber_decided_about_before_such_a_start_is_not_marked_again(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(readings={})
    await clinic.read(infusion_id, minutes=-9, **TENSE)
    await clinic.read(infusion_id, minutes=-5, **TENSE)
    await started(clinic, infusion_id, -7, hold_override={"reason": "Known white-coat effect"})
    assert await marks(clinic, infusion_id) == []
