"""What was found out about an infusion afterwards becomes a prescriber's work."""

from datetime import timedelta

import pytest

from shared.events import intake as people
from shared.events import sessions as infusions
from tests.followup.clinic import COORDINATOR, NURSE, PRESCRIBER, Clinic, Json, Visit


def needed(clinic: Clinic, visit: Visit, number: int = 1, code: str = "start-held") -> infusions.InfusionReviewNeeded:
    now = clinic.clock.now()
    return infusions.InfusionReviewNeeded(
        occurred_at=now,
        infusion_id=visit.infusion_id,
        patient_id=visit.patient_id,
        patient_number="P-0007",
        patient_time_zone=visit.zone,
        code=code,
        number=number,
        started_at=now - timedelta(minutes=20),
    )


async def reviews(clinic: Clinic, visit: Visit, role: str = PRESCRIBER) -> list[Json]:
    answer = await clinic.get("tasks", role, kind="record-review", patient_id=str(visit.patient_id))
    return list(answer.json()["items"])


async def test_a_record_to_be_looked_at_is_urgent_work_of_a_prescriber(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(needed(clinic, visit))
    (task,) = await reviews(clinic, visit)
    due_at = (clinic.clock.now() + timedelta(hours=4)).isoformat().replace("+00:00", "Z")
    assert (task["priority"], task["due_at"], task["focus"]) == ("urgent", due_at, f"Infusion/{visit.infusion_id}")
    for role, status in ((NURSE, 403), (COORDINATOR, 403), (PRESCRIBER, 200)):
        assert (await clinic.post(f"tasks/{task['task_id']}/claim", role=role)).status_code == status
    assert (await clinic.post(f"tasks/{task['task_id']}/complete", {"outcome": "done"}, role=PRESCRIBER)).status_code == 200


async def test_told_again_it_is_the_same_task_and_found_out_again_another_one(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(needed(clinic, visit), needed(clinic, visit), needed(clinic, visit, 2))
    assert len(await reviews(clinic, visit)) == 2


@pytest.mark.parametrize("code", ["start-held", "start-before-hold"])
async def test_a_coordinator_does_not_read_what_the_readings_were_about(clinic: Clinic, code: str) -> None:
    visit = clinic.visit()
    await clinic.tell(needed(clinic, visit, code=code))
    (clinical,), (office,) = await reviews(clinic, visit, PRESCRIBER), await reviews(clinic, visit, COORDINATOR)
    assert "readings" in clinical["why"]
    assert "readings" not in office["why"]


async def test_each_finding_is_told_in_its_own_words_and_an_unknown_one_as_work_all_the_same(clinic: Clinic) -> None:
    visit = clinic.visit()
    for number, code in enumerate(("start-held", "start-barred", "start-before-hold", "of-a-later-release"), 1):
        await clinic.tell(needed(clinic, visit, number, code))
    assert len({task["why"] for task in await reviews(clinic, visit)}) == 4


async def test_it_stays_whatever_becomes_of_the_patient_and_the_infusion(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), needed(clinic, visit))
    await clinic.tell(visit.told(infusions.InfusionEnteredInError, 6))
    await clinic.tell(people.PatientDeceased(occurred_at=clinic.clock.now(), patient_id=visit.patient_id, patient_version=2))
    assert [task["status"] for task in await reviews(clinic, visit)] == ["requested"]


def looked_at(clinic: Clinic, visit: Visit, number: int = 1) -> infusions.InfusionReviewed:
    return infusions.InfusionReviewed(
        occurred_at=clinic.clock.now(), infusion_id=visit.infusion_id, patient_id=visit.patient_id, number=number
    )


async def test_what_was_settled_on_the_record_is_nobodys_work_any_more_and_says_so(clinic: Clinic) -> None:
    visit, other = clinic.visit(), clinic.visit()
    await clinic.tell(needed(clinic, visit), needed(clinic, visit, 2), needed(clinic, other))
    (task, _) = await reviews(clinic, visit)
    await clinic.tell(looked_at(clinic, visit, 2), looked_at(clinic, visit, 2))
    assert await reviews(clinic, visit) == []
    assert len(await reviews(clinic, other)) == 1
    lines = (await clinic.get(f"tasks/{task['task_id']}/history", PRESCRIBER)).json()["items"]
    assert [line["says"] for line in lines][1:] == ["Called off: the record was looked at."]


async def test_what_is_found_out_after_the_record_was_looked_at_is_work_again(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(needed(clinic, visit), needed(clinic, visit, 2), looked_at(clinic, visit, 1), looked_at(clinic, visit, 1))
    assert [task["ordinal"] for task in await reviews(clinic, visit)] == [2]
