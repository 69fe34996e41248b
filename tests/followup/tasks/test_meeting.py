"""What a person does with a task, and news of its patient at the same moment: whoever comes first, no work stays that nobody wants."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from shared.events import Event
from shared.events import intake as people
from shared.events import sessions as infusions
from tests.followup.clinic import COORDINATOR, NURSE, Clinic, Visit, all_wait, at

NEWS: dict[str, Callable[[Visit], Event]] = {
    "death": lambda visit: people.PatientDeceased(occurred_at=visit.clock.now(), patient_id=visit.patient_id, patient_version=2),
    "withdrawal": lambda visit: people.PatientWithdrawn(occurred_at=visit.clock.now(), patient_id=visit.patient_id, patient_version=2),
    "revoked consent": lambda visit: people.ConsentChanged(
        occurred_at=visit.clock.now(),
        patient_id=visit.patient_id,
        consent_type="treatment",
        consent_standing=2,
        standing="revoked",
        since=visit.clock.now(),
        until=None,
        stood=[],
    ),
    "entered in error": lambda visit: visit.told(infusions.InfusionEnteredInError, 9),
    "nothing given": lambda visit: visit.told(infusions.InfusionAmended, 9, outcome="stopped-early", drug_given=False),
}


async def met(clinic: Clinic, visit: Visit, kind: str, role: str, told: Event, **headers: str) -> list[str]:
    """How the attempts stand after one in vain, with a time for the next, was reported while ``told`` came in behind it."""
    task = await clinic.task(kind, visit)
    path = f"tasks/{task['task_id']}"
    assert (await clinic.post(f"{path}/claim", role=role)).status_code == 200
    body = {"outcome": "no-answer", "retry_at": (clinic.clock.now() + timedelta(hours=2)).isoformat()}
    async with clinic.database.transaction(clinic.clinic_id) as db:
        await db.execute(text("SELECT 1 FROM care_task WHERE task_id = :id FOR UPDATE"), {"id": task["task_id"]})
        completing = asyncio.ensure_future(clinic.post(f"{path}/complete", body, role, **headers))
        await all_wait(clinic.database, 1)
        telling = asyncio.ensure_future(clinic.tell(told))
        await all_wait(clinic.database, 2)
    assert (await completing).status_code == 200
    await telling
    attempts = "SELECT status FROM care_task WHERE kind = :kind AND patient_id = :id AND ordinal = 0 ORDER BY attempt"
    return [row["status"] for row in await clinic.rows(attempts, kind=kind, id=visit.patient_id)]


@pytest.mark.parametrize(
    ("news", "kind", "role", "status"),
    [
        ("death", "same-evening-call", NURSE, "cancelled"),
        ("withdrawal", "same-evening-call", NURSE, "cancelled"),
        ("entered in error", "same-evening-call", NURSE, "entered-in-error"),
        ("nothing given", "same-evening-call", NURSE, "cancelled"),
        ("revoked consent", "rebook", COORDINATOR, "cancelled"),
    ],
)
async def test_a_next_attempt_that_is_made_while_the_patient_leaves_is_called_off_too(
    clinic: Clinic, news: str, kind: str, role: str, status: str
) -> None:
    visit = clinic.visit()
    assert await met(clinic, visit, kind, role, NEWS[news](visit)) == ["completed", status]


async def test_the_version_that_somebody_saw_is_held_in_the_same_order_so_that_neither_waits_for_ever(clinic: Clinic) -> None:
    visit = clinic.visit()
    seen = {"If_Match": 'W/"2"'}
    assert await met(clinic, visit, "same-evening-call", NURSE, NEWS["death"](visit), **seen) == ["completed", "cancelled"]


@pytest.mark.parametrize(
    ("news", "status"), [("death", "cancelled"), ("entered in error", "entered-in-error"), ("nothing given", "cancelled")]
)
async def test_a_call_that_silence_makes_while_the_patient_leaves_is_called_off_too(clinic: Clinic, news: str, status: str) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    check_in = (await clinic.items(visit))["C24"]
    await clinic.pass_time(at(check_in, "due_at") - clinic.clock.now())
    clinic.clock.advance(timedelta(hours=2))
    async with clinic.database.transaction(clinic.clinic_id) as db:
        await db.execute(text("SELECT 1 FROM check_in WHERE check_in_id = :id FOR UPDATE"), {"id": check_in["check_in_id"]})
        firing = asyncio.ensure_future(clinic.service.firing.fire_due())
        await all_wait(clinic.database, 1)
        telling = asyncio.ensure_future(clinic.tell(NEWS[news](visit)))
        await all_wait(clinic.database, 2)
    assert await firing == 1
    await telling
    made = "SELECT kind, status FROM care_task WHERE focus_id = :id"
    assert await clinic.rows(made, id=check_in["check_in_id"]) == [{"kind": "check-in-overdue-call", "status": status}]
