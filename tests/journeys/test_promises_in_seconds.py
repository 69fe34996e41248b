"""What people are told to happen "within a second": here with slack, for a machine that runs other tests too.

The figures, with load beside them and over Kafka, are those of ``make bench`` (docs/performance.md).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import uuid4

import pytest

from services.demo.client import Json
from tests.support.house import Clinic, House, Patient
from tests.support.waiting import eventually

PROMISED_SECONDS = 1.0
SLACK = 5.0
"""Times the promise."""

within = partial(eventually, within=PROMISED_SECONDS * SLACK)

STEPS = {"sessions": "/sessions/v1/infusions/{}/no-show", "followup": "/followup/v1/tasks/{}/claim"}
"""Steps that a coordinator may take, of something that is not there: 404 while the role counts."""


def refusal(clinic: Clinic, service: str, by: str = "coordinator") -> Callable[[], Awaitable[tuple[int, str]]]:
    """How a service refuses a coordinator's step now."""

    async def asked() -> tuple[int, str]:
        headers = {
            "Authorization": f"Bearer {await clinic.system.access_token()}",
            "Afterglow-Practitioner": str(clinic.staff[by]),
            "Idempotency-Key": f'"{uuid4()}"',
        }
        answer = await clinic.house.http.post(STEPS[service].format(uuid4()), json={}, headers=headers)
        return answer.status_code, answer.json()["code"]

    return asked


async def changed(clinic: Clinic, **changes: object) -> None:
    await clinic.system.patch(f"/intake/v1/practitioners/{clinic.staff['coordinator']}", changes, 1)


async def test_a_finished_infusion_becomes_work(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await within(patient.plans)


@pytest.mark.parametrize("service", STEPS)
async def test_a_role_taken_away_counts(house: House, clinic: Clinic, service: str) -> None:
    assert await refusal(clinic, service)() == (404, "not-found")
    await changed(clinic, roles=["auditor"])
    assert await within(refusal(clinic, service), lambda refused: refused[0] == 403) == (403, "role-missing")


@pytest.mark.parametrize("service", STEPS)
async def test_somebody_who_has_left_is_refused(house: House, clinic: Clinic, service: str) -> None:
    await changed(clinic, active=False)
    assert await within(refusal(clinic, service), lambda refused: refused[0] == 403) == (403, "practitioner-not-active")


@pytest.mark.parametrize("service", STEPS)
async def test_a_disabled_clients_tokens_are_refused(house: House, clinic: Clinic, service: str) -> None:
    assert (await refusal(clinic, service)())[0] == 404
    operator = house.operator()
    await operator.post(f"/intake/v1/clients/{clinic.client_id}/disable", {})
    await operator.close()
    assert await within(refusal(clinic, service), lambda refused: refused[0] == 401) == (401, "client-disabled")


async def test_what_intake_has_been_told_is_known_where_it_is_referred_to(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await within(partial(_known_at_sessions, patient))
    assert await patient.book()


async def test_a_death_calls_off_what_is_open(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans)
    await clinic.system.post(f"/intake/v1/patients/{patient.patient_id}/death", {})
    await within(patient.check_ins, lambda states: set(states.values()) == {"cancelled"})


async def _known_at_sessions(patient: Patient) -> list[Json]:
    return await patient.clinic.house.rows("sessions", patient.clinic.clinic_id, "SELECT course_id FROM course")
