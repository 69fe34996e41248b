"""A clinic that has closed: its systems are refused everywhere as soon as it is told, and the operator still reads and reopens it."""

from functools import partial
from uuid import uuid4

from tests.support.house import Clinic, House
from tests.support.waiting import eventually

LISTS = ("/intake/v1/patients", "/sessions/v1/infusions", "/followup/v1/tasks")


async def test_a_closed_clinics_live_tokens_stop_in_every_service_and_work_again_when_it_reopens(house: House, clinic: Clinic) -> None:
    other, patient = await house.clinic(), await clinic.admit()
    tokens = {name: await one.system.access_token() for name, one in (("closed", clinic), ("other", other))}

    async def answers(name: str, path: str) -> tuple[int, str]:
        answer = await house.http.get(path, headers={"Authorization": f"Bearer {tokens[name]}"})
        return answer.status_code, answer.json().get("code", "")

    async def is_answered(path: str, expected: tuple[int, str]) -> bool:
        return await answers("closed", path) == expected

    operator = house.operator()
    closed = await operator.patch(f"/intake/v1/clinics/{clinic.clinic_id}", {"active": False}, 1)
    for path in LISTS:
        await eventually(partial(is_answered, path, (401, "clinic-inactive")))
        assert await answers("other", path) == (200, "")
    death = await house.http.post(
        f"/intake/v1/patients/{patient.patient_id}/death",
        json={},
        headers={"Authorization": f"Bearer {tokens['closed']}", "Idempotency-Key": str(uuid4())},
    )
    assert (death.status_code, death.json()["code"]) == (401, "clinic-inactive")

    assert (await operator.get(f"/intake/v1/clinics/{clinic.clinic_id}"))["active"] is False
    await operator.patch(f"/intake/v1/clinics/{clinic.clinic_id}", {"active": True}, closed["version"])
    await operator.close()
    for path in LISTS:
        await eventually(partial(is_answered, path, (200, "")))
