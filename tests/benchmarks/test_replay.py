"""The floor does what the product did, to another infusion: what it replays is no empty motion."""

from datetime import timedelta
from uuid import UUID

import asyncpg
from sqlalchemy import make_url

from tests.benchmarks.ground import UUID_FORM
from tests.benchmarks.recording import Recording, noted
from tests.benchmarks.replay import Template
from tests.support.house import Clinic, House, Patient


def ids_of(patient: Patient) -> list[UUID]:
    return [UUID(id_) for id_ in (patient.infusion_id, patient.patient_id, patient.course_id)]


async def test_a_replayed_completion_completes_another_infusion_and_tells_of_it(house: House, clinic: Clinic) -> None:
    one, other = await clinic.admit(), await clinic.admit()
    await one.infuse()
    await other.infuse()
    discharged_at = house.clock.advance(timedelta(minutes=65))
    database = house.services["sessions"].database
    with noted(database.engine) as transactions:
        await one.step("complete", {"discharged_at": discharged_at.isoformat()}, by="prescriber")
    (completion,) = [one for one in transactions if any("INSERT INTO infusion_version" in it.sql for it in one.statements)]

    constants = {UUID(clinic.clinic_id), *clinic.staff.values(), *map(UUID, UUID_FORM.findall(clinic.client_id))}
    template = Template(Recording(completion, ids_of(one)), constants)
    connection = await asyncpg.connect(make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        await template.send(connection, ids_of(other))
    finally:
        await connection.close()

    rows = await house.rows("sessions", clinic.clinic_id, "SELECT infusion_id, state, ended_at FROM infusion")
    assert {row["state"] for row in rows} == {"completed"}
    told = await house.rows(
        "sessions", clinic.clinic_id, "SELECT subject, data FROM platform.event_log WHERE type LIKE 'sessions.infusion.completed%'"
    )
    assert {row["subject"] for row in told} == {f"Infusion/{patient.infusion_id}" for patient in (one, other)}
    (wire,) = [row["data"].decode() for row in told if row["subject"] == f"Infusion/{other.infusion_id}"]
    assert all(str(id_) in wire for id_ in ids_of(other))
    assert not any(str(id_) in wire for id_ in ids_of(one))
