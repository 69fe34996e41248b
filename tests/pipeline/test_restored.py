"""A producer from a backup tells under numbers that the others have seen for something else; after the step of the runbook they listen."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import make_url

from services.restored import STEP, TOLD, lift_versions
from tests.pipeline.conftest import Installation
from tests.support.databases import PASSWORD
from tests.support.house import Clinic, Patient
from tests.support.waiting import eventually

COPIES = {
    "intake": {"platform.client", "platform.practitioner"},
    "sessions": {"clinic", "patient", "course", "consent_standing", "platform.client", "platform.practitioner"},
}
"""What a service knows from others, or from itself as from others, by the version that was told."""
NEVER_CHANGED = {"platform.stream", "infusion_version", "clinic_document", "clinic_document_activation"}
"""A count of events, which nobody compares; and what was, or what a clinic has written, under its own number."""


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
    await admin.execute("UPDATE patient SET version = 1, contact_version = 1")
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


async def test_a_corrected_address_after_a_restore_is_a_newer_way_than_all_that_were_told(
    installation: Installation, clinic: Clinic
) -> None:
    patient = await clinic.admit()
    path = f"/intake/v1/patients/{patient.patient_id}"
    for address in ("first@example.org", "second@example.org"):
        version = (await clinic.system.get(path))["version"]
        await clinic.system.patch(path, {"email": address, "preferred_channel": "email"}, version=version)
    await go_back(installation, patient)
    await lift(installation, "intake")
    version = (await clinic.system.get(path))["version"]
    await clinic.system.patch(path, {"email": "third@example.org"}, version=version)
    await installation.house.settled()
    ways = [
        (await installation.house.rows(service, clinic.clinic_id, _WAYS, id=patient.patient_id))[0]["contact_version"]
        for service in ("intake", "followup")
    ]
    assert ways[0] == ways[1] > STEP


_WAYS = "SELECT contact_version FROM patient WHERE CAST(patient_id AS text) = :id"


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


async def missing(clinic: Clinic) -> list[str]:
    return [code for gap in (await clinic.system.get("/followup/v1/completeness"))["items"] for code in gap["missing"]]


async def open_items(patient: Patient) -> list[tuple[str, str, str]]:
    """Of the infusion's plan: kind, code and due time."""
    [plan] = await patient.plans()
    shown = await patient.clinic.system.get(f"/followup/v1/plans/{plan['plan_id']}", acting=patient.clinic.staff["coordinator"])
    over = ("cancelled", "completed", "entered-in-error")
    return sorted((item["kind"], item["code"], item["due_at"]) for item in shown["items"] if item["status"] not in over)


async def version_told(installation: Installation, patient: Patient) -> int:
    [row] = await installation.house.rows(
        "followup", patient.clinic.clinic_id, "SELECT version FROM infusion WHERE CAST(infusion_id AS text) = :id", id=patient.infusion_id
    )
    return int(row["version"])


async def lose_amendment(installation: Installation, patient: Patient) -> None:
    """Amend the dose to nothing, and take sessions back to a backup of before that."""
    admin = await installation.admin("sessions")
    await admin.execute("CREATE TEMPORARY TABLE backup AS TABLE infusion")
    record = await patient.clinic.system.get(f"/sessions/v1/infusions/{patient.infusion_id}", acting=patient.clinic.staff["prescriber"])
    body = {"reason": "Pump log read", "dose_given": {"value": 0, "unit": "mg"}}
    await patient.step("amend", body, by="prescriber", version=int(record["version"]))
    await eventually(patient.plans, lambda plans: plans[0]["status"] == "revoked")
    await admin.execute("DELETE FROM infusion_version v USING backup b WHERE v.infusion_id = b.infusion_id AND v.version > b.version")
    await admin.execute(
        """
        UPDATE infusion i SET version = b.version, told_version = b.told_version, changed_at = b.changed_at,
                              dose_given_mg = b.dose_given_mg, first_of_course = b.first_of_course
        FROM backup b WHERE b.infusion_id = i.infusion_id
        """
    )
    await admin.close()


async def test_a_lost_amendment_is_told_of_by_the_audit_and_taken_back_once_the_versions_are_lifted(
    installation: Installation, clinic: Clinic
) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans)
    planned = await open_items(patient)
    assert {code for _, code, _ in planned} == {"integration-session", "C24", "C72"}
    await lose_amendment(installation, patient)
    assert not set(planned) & set(await open_items(patient))
    clinic.house.clock.advance(timedelta(minutes=3))
    await eventually(partial(missing, clinic), lambda codes: codes == ["sessions-behind"])
    await lift(installation, "sessions")
    clinic.house.clock.advance(timedelta(minutes=5))
    await eventually(partial(missing, clinic), lambda codes: codes == [])
    [plan] = await patient.plans()
    assert plan["status"] == "active"
    assert set(planned) <= set(await open_items(patient))


async def test_what_was_told_before_is_told_again_under_the_lifted_version_and_changes_nothing(
    installation: Installation, clinic: Clinic
) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans)
    before = await open_items(patient)
    await lift(installation, "sessions")
    clinic.house.clock.advance(timedelta(minutes=3))
    await eventually(partial(version_told, installation, patient), lambda version: version > STEP)
    await eventually(partial(missing, clinic), lambda codes: codes == [])
    assert await open_items(patient) == before
