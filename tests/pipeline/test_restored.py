"""A producer from a backup tells under numbers that the others have seen for something else; after the step of the runbook they listen."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import make_url

from services.restored import TOLD, lift_versions
from tests.pipeline.conftest import Installation
from tests.support.databases import PASSWORD
from tests.support.house import Clinic, Patient
from tests.support.waiting import eventually

COPIES = {
    "intake": {"platform.client", "platform.practitioner"},
    "sessions": {"clinic", "patient", "course", "platform.client", "platform.practitioner"},
}
"""What a service knows from others, or from itself as from others, by the version that was told."""
NEVER_CHANGED = {"platform.stream", "infusion_version"}
"""A count of events, which nobody compares; and what was, under its own number."""


async def lift(installation: Installation, service: str) -> int:
    database = str(make_url(installation.house.services[service].database.url).database)
    return await lift_versions(service, installation.databases.server.url(f"{service}_owner", PASSWORD, database))


async def go_back(installation: Installation, patient: Patient) -> None:
    """As if intake came from a backup of the day on which the patient was registered; the others know what came after it."""
    for number in range(3):
        path = f"/intake/v1/patients/{patient.patient_id}"
        version = (await patient.clinic.system.get(path))["version"]
        await patient.clinic.system.patch(path, {"time_zone": f"America/{('Chicago', 'Denver', 'Boise')[number]}"}, version=version)
    await installation.house.settled()
    admin = await installation.admin("intake")
    await admin.execute("UPDATE patient SET version = 1")
    await admin.close()


async def status_of(installation: Installation, service: str, patient: Patient) -> str:
    rows = await installation.house.rows(
        service, patient.clinic.clinic_id, "SELECT status FROM patient WHERE CAST(patient_id AS text) = :id", id=patient.patient_id
    )
    return str(rows[0]["status"])


async def test_a_death_after_a_restore_is_heard(installation: Installation, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await go_back(installation, patient)
    assert await lift(installation, "intake") > 0
    await clinic.system.post(f"/intake/v1/patients/{patient.patient_id}/death", {}, acting=clinic.staff["coordinator"])
    for service in ("sessions", "followup"):
        await eventually(partial(status_of, installation, service, patient), lambda status: status == "deceased")


@pytest.mark.parametrize("service", TOLD)
async def test_every_version_is_either_lifted_or_a_copy(installation: Installation, service: str) -> None:
    admin = await installation.admin(service)
    rows = await admin.fetch(
        """
        SELECT table_schema, table_name FROM information_schema.columns
        WHERE column_name = 'version' AND table_schema IN ('public', 'platform')
        """
    )
    await admin.close()
    tables = {row["table_name"] if row["table_schema"] == "public" else f"platform.{row['table_name']}" for row in rows}
    assert tables == {*TOLD[service], *COPIES[service]} | tables & NEVER_CHANGED


async def test_an_infusion_goes_on_after_its_version_was_lifted(installation: Installation, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.infuse()
    assert await lift(installation, "sessions") == 1
    now = clinic.house.clock.advance(timedelta(minutes=65))
    await patient.step("complete", {"discharged_at": now.isoformat()}, by="prescriber")
    await eventually(patient.plans, lambda plans: len(plans) == 1)
