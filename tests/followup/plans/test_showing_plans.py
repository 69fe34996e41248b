"""Plans as clinic systems see them: the facts, and everything that follows from them."""

from datetime import timedelta
from uuid import uuid4

from shared.events import sessions as infusions
from tests.followup.clinic import NURSE, Clinic


async def test_a_plan_is_found_by_its_infusion_and_by_its_patient(clinic: Clinic) -> None:
    first, second = clinic.visit(), clinic.visit()
    later = clinic.visit(patient_id=first.patient_id, course_id=first.course_id)
    await clinic.tell(later.told(first_of_course=False), first.told(pump_ended_at=clinic.clock.now() - timedelta(days=2)), second.told())
    [plan] = (await clinic.get("plans", infusion_id=str(first.infusion_id))).json()["items"]
    assert (plan["patient_id"], plan["outcome"], plan["status"]) == (str(first.patient_id), "completed", "active")
    of_patient = (await clinic.get("plans", patient_id=str(first.patient_id))).json()["items"]
    assert [row["infusion_id"] for row in of_patient] == [str(first.infusion_id), str(later.infusion_id)]
    assert len((await clinic.get("plans")).json()["items"]) == 3


async def test_a_plan_shows_every_item_whatever_became_of_it(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionStoppedEarly))
    call_id = (await clinic.items(visit))["same-evening-call"]["task_id"]
    await clinic.post(f"tasks/{call_id}/claim", role=NURSE)
    retry_at = (clinic.clock.now() + timedelta(hours=2)).isoformat()
    await clinic.post(f"tasks/{call_id}/complete", {"outcome": "no-answer", "retry_at": retry_at}, role=NURSE)
    [plan] = (await clinic.get("plans", infusion_id=str(visit.infusion_id))).json()["items"]
    shown = await clinic.get(f"plans/{plan['plan_id']}")
    assert shown.headers["ETag"] == 'W/"1"'
    items = {(item["kind"], item["code"], item["attempt"]): item["status"] for item in shown.json()["items"]}
    assert items == {
        ("task", "integration-session", 1): "requested",
        ("task", "same-evening-call", 1): "completed",
        ("task", "same-evening-call", 2): "accepted",
        ("check-in", "C24", 1): "planned",
        ("check-in", "C72", 1): "planned",
    }


async def test_another_clinics_plan_is_unknown_like_any_other_id(clinic: Clinic, open_clinic: object) -> None:
    assert callable(open_clinic)
    other: Clinic = await open_clinic()
    visit = other.visit()
    await other.tell(visit.told())
    [plan] = (await other.get("plans")).json()["items"]
    for plan_id in (plan["plan_id"], uuid4()):
        answer = await clinic.get(f"plans/{plan_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert (await clinic.get("plans", infusion_id=str(visit.infusion_id))).json()["items"] == []
