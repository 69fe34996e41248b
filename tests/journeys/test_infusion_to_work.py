"""A visit goes in at one end, owned work comes out at the other: the whole product over HTTP."""

from datetime import timedelta
from uuid import UUID

import pytest

from services.demo.client import Refused
from services.demo.patients import calm_answers
from tests.support.house import Clinic, House
from tests.support.relay import relay_held_up
from tests.support.waiting import eventually

FULL_SET = {"C24": "planned", "C72": "planned"}


async def test_a_finished_infusion_becomes_one_set_of_follow_up(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.complete()
    (plan,) = await eventually(patient.plans)
    assert plan["infusion_id"] == patient.infusion_id
    assert await patient.check_ins() == FULL_SET
    assert await patient.tasks() == {"integration-session": "requested"}


async def test_a_visit_that_does_not_happen_becomes_one_rebooking_task(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.book()
    await patient.step("no-show")
    assert await eventually(patient.tasks) == {"rebook": "requested"}
    assert await patient.check_ins() == {}


async def test_a_struck_record_cancels_what_is_open_and_lists_it(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans)
    asked = await patient.step("entered-in-error", {"reason": "Wrong chart"}, version=await patient.version())
    await patient.step("entered-in-error/confirm", by="second-nurse", version=asked["version"])
    tasks = await eventually(patient.tasks, lambda tasks: "cancellation-review" in tasks)
    assert set((await patient.check_ins()).values()) == {"cancelled"}
    assert tasks["integration-session"] in {"cancelled", "entered-in-error"}


async def test_nothing_is_sent_after_a_death(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans)
    await clinic.system.post(f"/intake/v1/patients/{patient.patient_id}/death", {})
    await eventually(patient.check_ins, lambda states: set(states.values()) == {"cancelled"})
    house.clock.advance(timedelta(days=4))
    await house.settled()
    assert await house.messages() == []


async def test_a_link_takes_answers_once(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans)
    house.clock.advance(timedelta(hours=23))
    (message,) = await eventually(house.messages)
    path = message["path"]
    opened = await house.http.post(path, data={"birth_month": "6", "birth_day": "19", "birth_year": "1984"})
    assert opened.status_code == 303
    form = await house.http.get(opened.headers["location"])
    sent = await house.http.post("/c", data=calm_answers(form.text))
    assert "<h1>Thank you</h1>" in (await house.http.get(sent.headers["location"])).text
    await eventually(patient.check_ins, lambda states: states["C24"] == "submitted")
    assert (await house.http.get(path)).status_code == 410
    answers = await house.rows("followup", clinic.clinic_id, "SELECT answers FROM check_in_answers")
    assert len(answers) == 1
    trail = await house.rows(
        "followup", clinic.clinic_id, "SELECT operation, outcome FROM audit_event WHERE client_id = 'patient-link' ORDER BY recorded_at"
    )
    assert [(row["operation"], row["outcome"]) for row in trail] == [
        ("check_birth_date", 303), ("show_form", 200), ("take_answers", 200), ("show_form", 200)
    ]  # fmt: skip


async def test_an_event_that_never_arrived_is_found_and_asked_for(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.infuse()
    now = house.clock.advance(timedelta(minutes=65))
    await house.settled()
    async with relay_held_up(house.services["sessions"].database.url) as connection:
        await patient.step("complete", {"discharged_at": now.isoformat()}, by="prescriber")
        lost = await connection.fetch("DELETE FROM platform.outbox_pending RETURNING seq")
    assert len(lost) == 1
    assert await patient.plans() == []
    house.clock.advance(timedelta(minutes=3))
    assert await eventually(patient.plans)
    assert await patient.check_ins() == FULL_SET


async def test_the_loser_of_a_claim_is_told_who_has_it(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans)
    first, second = clinic.staff["coordinator"], clinic.staff["second-coordinator"]
    page = await clinic.system.get("/followup/v1/tasks", acting=first, view="unassigned")
    (task,) = [item for item in page["items"] if item["patient_id"] == patient.patient_id]
    await clinic.system.post(f"/followup/v1/tasks/{task['task_id']}/claim", {}, acting=first)
    with pytest.raises(Refused) as refused:
        await clinic.system.post(f"/followup/v1/tasks/{task['task_id']}/claim", {}, acting=second)
    assert refused.value.code == "already-claimed"
    mine = await clinic.system.get("/followup/v1/tasks", acting=first, view="mine")
    assert [UUID(item["task_id"]) for item in mine["items"]] == [UUID(task["task_id"])]
