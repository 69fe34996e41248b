"""After an outage one call per patient lists all that was missed: what is missed later joins the call that is still open."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.events import sessions as infusions
from tests.followup.clinic import Clinic, Json, Visit

DAY = timedelta(days=1)
AT_ENTRY = "past-due-at-entry"


def late(clinic: Clinic, visit: Visit, days: float) -> infusions.InfusionEvent:
    """An infusion that ended so many days ago and is heard of now."""
    return visit.told(pump_ended_at=clinic.clock.now() - days * DAY)  # type: ignore[return-value]


async def calls(clinic: Clinic) -> list[Json]:
    return await clinic.rows("SELECT * FROM care_task WHERE kind = 'catch-up-call' ORDER BY created_at, task_id")


def listed(call: Json) -> list[str]:
    return sorted(item["code"] for item in call["details"]["items"])


@pytest.mark.parametrize("at_once", [False, True])
async def test_two_infusions_heard_of_late_are_one_call_that_lists_both(clinic: Clinic, at_once: bool) -> None:
    first = clinic.visit()
    second = replace(first, infusion_id=clinic.visit().infusion_id)
    await clinic.patient(first)
    told = [late(clinic, first, 6.9), late(clinic, second, 3.5)]
    await (clinic.tell_at_once(*told) if at_once else clinic.tell(*told))
    [call] = await calls(clinic)
    assert listed(call) == ["C24", "C24", "C72", "C72", "integration-session", "integration-session"]
    assert len({item["ended_at"] for item in call["details"]["items"]}) == 2
    shown = (await clinic.get(f"tasks/{call['task_id']}")).json()
    assert shown["why"] == (
        "More than once something was not asked or done in time: 24-hour check-in (2), 72-hour check-in (2) and integration session (2)."
    )
    assert "24-hour check-in, after the infusion of 21:00 on Thursday 19 November (their time): its due time had passed" in " ".join(
        shown["lists"]
    )


async def test_a_later_miss_joins_the_open_call_whoever_has_it_and_its_history_names_the_event(clinic: Clinic) -> None:
    first = clinic.visit()
    await clinic.patient(first)
    await clinic.tell(late(clinic, first, 6))
    [call] = await calls(clinic)
    await clinic.post(f"tasks/{call['task_id']}/claim")
    clinic.clock.advance(timedelta(hours=1))
    await clinic.tell(late(clinic, replace(first, infusion_id=clinic.visit().infusion_id), 5))
    [after] = await calls(clinic)
    assert (after["status"], after["due_at"], after["version"]) == ("accepted", call["due_at"], 3)
    history = (await clinic.get(f"tasks/{call['task_id']}/history")).json()["items"]
    assert [line["action"] for line in history] == ["created", "claimed", "extended"]
    assert history[-1]["says"] == "More that was missed was added to it."
    assert history[-1]["caused_by"] is not None
    assert len(listed(after)) == 6


async def test_a_call_that_has_ended_is_joined_by_nothing(clinic: Clinic) -> None:
    first = clinic.visit()
    await clinic.tell(late(clinic, first, 6))
    [call] = await calls(clinic)
    await clinic.post(f"tasks/{call['task_id']}/claim")
    assert (await clinic.post(f"tasks/{call['task_id']}/complete", {"outcome": "reached"})).status_code == 200
    await clinic.tell(late(clinic, replace(first, infusion_id=clinic.visit().infusion_id), 5))
    assert sorted(row["status"] for row in await calls(clinic)) == ["completed", "requested"]


async def test_each_patient_has_a_call_of_their_own(clinic: Clinic) -> None:
    await clinic.tell_at_once(*(late(clinic, clinic.visit(), days) for days in (6, 5.5, 5)))
    assert [row["status"] for row in await calls(clinic)] == ["requested"] * 3


async def test_a_joint_call_outlives_the_record_of_one_of_its_infusions(clinic: Clinic) -> None:
    first = clinic.visit()
    second = replace(first, infusion_id=clinic.visit().infusion_id)
    await clinic.tell(late(clinic, first, 6))
    await clinic.tell(late(clinic, second, 5))
    await clinic.tell(first.told(infusions.InfusionEnteredInError, 5))
    assert [row["status"] for row in await calls(clinic)] == ["requested"]


async def test_told_again_nothing_is_listed_twice(clinic: Clinic) -> None:
    first = clinic.visit()
    told = late(clinic, first, 6)
    await clinic.tell(told)
    await clinic.tell(late(clinic, replace(first, infusion_id=clinic.visit().infusion_id), 5))
    [before] = await calls(clinic)
    await clinic.tell(told)
    assert (await calls(clinic))[0]["details"] == before["details"]
    assert datetime.fromisoformat(before["details"]["items"][0]["ended_at"]) < clinic.clock.now()
