"""The past that the benchmark is given is one that the product goes on from, and the same every time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import md5
from uuid import UUID

from sqlalchemy import make_url

from tests.benchmarks.past import Connection, Past, load
from tests.benchmarks.past_rows import FOLLOWUP, SESSIONS
from tests.support.databases import Databases
from tests.support.house import Clinic, House
from tests.support.waiting import eventually

COUNT = 600
OPEN = COUNT + 1  # and the model's


@asynccontextmanager
async def superuser(databases: Databases, house: House, service: str) -> AsyncIterator[Connection]:
    connection = await databases.server.admin(str(make_url(house.services[service].database.url).database))
    try:
        yield connection
    finally:
        await connection.close()


async def given(databases: Databases, house: House, clinic: Clinic, *, count: int = COUNT, after: int = 0) -> None:
    """Let a clinic have a past: followup's part first, since the audit looks on."""
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans, lambda plans: len(plans) == 1)
    await house.settled()
    model = {"infusion_id": UUID(patient.infusion_id), "patient_id": UUID(patient.patient_id), "course_id": UUID(patient.course_id)}
    owners = [clinic.staff["coordinator"], clinic.staff["prescriber"]]
    past = Past(UUID(clinic.clinic_id), model, owners, house.clock.now(), count, after)
    for contents in (FOLLOWUP, SESSIONS):
        async with superuser(databases, house, contents.service) as connection:
            await load(connection, contents, past, lambda _: None)


async def test_a_past_lacks_nothing_and_time_goes_on_with_it(databases: Databases, house: House, clinic: Clinic) -> None:
    await given(databases, house, clinic)
    acting = clinic.staff["coordinator"]
    counts = (await clinic.system.get("/followup/v1/tasks/counts", acting=acting))["counts"]
    assert counts["open"] == OPEN
    assert min(counts.values()) > 0
    looks = "SELECT compared, gaps FROM completeness_run"
    look = await eventually(lambda: house.rows("followup", clinic.clinic_id, looks), lambda rows: rows[0]["compared"] > 1)
    assert look[0]["gaps"] == 0
    house.clock.advance(timedelta(days=11))
    await house.settled()
    late = "SELECT count(*) AS missed FROM care_task WHERE kind = 'integration-session' AND business_status = 'missed'"
    assert await house.rows("followup", clinic.clinic_id, late) == [{"missed": OPEN}]


async def test_the_same_seed_gives_the_same_tasks_and_a_second_past_goes_on(databases: Databases, house: House, clinic: Clinic) -> None:
    for count, after in ((12, 0), (24, 12)):
        await given(databases, house, clinic, count=count, after=after)
    tasks = await house.rows("followup", clinic.clinic_id, "SELECT task_id FROM care_task WHERE patient_number LIKE 'P-0000___'")
    ids = {UUID(md5(f"1:task:{n}".encode()).hexdigest()) for n in range(1, 37)}  # noqa: S324 - no secret
    assert ids <= {task["task_id"] for task in tasks}
    infusions = "SELECT count(*) AS number, count(DISTINCT patient_id) AS patients FROM infusion"
    assert await house.rows("followup", clinic.clinic_id, infusions) == [{"number": 12 + 24 + 2, "patients": 2 + 4 + 2}]
