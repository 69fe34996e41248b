"""The database under the service: schema as declared, few statements on the hot path, one writer at a time per patient."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, text

from services.sessions.infusions.queries import get_infusion
from services.sessions.infusions.statements import KEEP
from services.sessions.tables import Table
from shared.service import Service
from tests.sessions.clinic import CALM, Clinic
from tests.support.databases import Databases


@contextmanager
def statements(service: Service) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(" ".join(statement.split()))

    engine = service.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_completing_costs_three_statements_besides_the_edges_two(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    with statements(clinic.service) as sent:
        await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    starts = [statement.split("(")[0][:28] for statement in sent]
    assert len(sent) == 5, starts
    assert "FOR NO KEY UPDATE OF patient, infusion" in sent[1]
    assert "INSERT INTO infusion " in sent[2]
    assert "INSERT INTO infusion_version" in sent[2]
    assert sum("INSERT INTO platform.event_log" in statement for statement in sent) == 1


async def test_a_record_that_was_changed_beside_its_version_stops_the_transaction(clinic: Clinic) -> None:
    infusion_id = await clinic.scheduled()

    async def write_in_passing() -> None:
        async with clinic.service.database.transaction(clinic.clinic_id) as db:
            infusion = await get_infusion(db, UUID(infusion_id))
            infusion.reason = "nobody knows when"

    with pytest.raises(RuntimeError, match="with its version"):
        await write_in_passing()


async def test_the_models_say_what_the_migrations_made(clinic: Clinic) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": _ours})
        return list(compare_metadata(context, Table.metadata))

    def _ours(_thing: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
        return kind != "table" or name in Table.metadata.tables

    async with clinic.service.database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


@pytest.mark.parametrize("further", [0, 2])
async def test_a_record_is_written_onto_the_version_before_and_no_other(clinic: Clinic, further: int) -> None:
    infusion_id = await clinic.recovery()
    async with clinic.service.database.transaction(clinic.clinic_id) as db:
        infusion = await get_infusion(db, UUID(infusion_id))
        stored = infusion.version
        snapshot = infusion.model_copy(update={"version": stored + further, "reason": "late"}).model_dump_json()
        assert not await KEEP.rows(db, snapshot=snapshot, step="complete", actor="Client/late", reason=None)
    async with clinic.service.database.transaction(clinic.clinic_id) as db:
        infusion = await get_infusion(db, UUID(infusion_id))
    assert (infusion.version, infusion.reason) == (stored, None)


async def test_a_column_that_the_next_release_adds_stops_no_step_of_this_one(clinic: Clinic, databases: Databases) -> None:
    first, second = await clinic.recovery(), await clinic.recovery()
    await clinic.step(first, "complete", {"discharged_at": clinic.at(0)})
    admin = await databases.server.admin(str(clinic.service.database.engine.url.database))
    try:
        await admin.execute("ALTER TABLE infusion ADD COLUMN novelty int NOT NULL DEFAULT 7")
        await clinic.step(second, "complete", {"discharged_at": clinic.at(0)})
        await clinic.scheduled()
        assert await admin.fetchval("SELECT count(*) FROM infusion WHERE clinic_id = $1 AND novelty = 7", clinic.clinic_id) == 3
    finally:
        await admin.execute("ALTER TABLE infusion DROP COLUMN novelty")
        await admin.close()
    await clinic.completed()


async def test_every_table_is_walled_by_clinic(clinic: Clinic, databases: Databases) -> None:
    async with clinic.service.database.engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE 'alembic%'"
            )
        )
        walls: dict[str, bool] = {row[0]: row[1] for row in rows}
    assert set(Table.metadata.tables) <= set(walls)
    assert all(walls.values())


async def test_two_bookings_at_once_do_not_slip_past_each_other(clinic: Clinic) -> None:
    person = await clinic.patient()
    booking = {"patient_id": str(person.patient_id), "course_id": str(person.course_id), "scheduled_at": clinic.at(60)}
    answers = await asyncio.gather(*(clinic.post("/infusions", booking) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]


async def test_two_completions_at_once_are_one_completion(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    body = {"discharged_at": clinic.at(0)}
    answers = await asyncio.gather(*(clinic.post(f"/infusions/{infusion_id}/complete", body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409, 409]
    assert len(await clinic.told(infusion_id)) == 3


async def waits_behind(clinic: Clinic, lock: str, request: Coroutine[object, object, httpx.Response]) -> int:
    """The status of a request that has to wait until another transaction, which holds this lock, has ended."""
    async with clinic.service.database.transaction(clinic.clinic_id) as db:
        await db.execute(text(lock))
        me = (await db.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        task = asyncio.ensure_future(request)
        waiting = 0
        while not waiting and not task.done():
            found = await db.execute(text("SELECT count(*) FROM pg_stat_activity WHERE :me = ANY(pg_blocking_pids(pid))"), {"me": me})
            waiting = found.scalar_one()
        assert waiting == 1, "nothing waited for the lock"
    return (await task).status_code


async def test_writes_about_one_patients_infusions_wait_for_each_other(clinic: Clinic) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.recovery(person)
    lock = f"SELECT 1 FROM patient WHERE patient_id = '{person.patient_id}' FOR NO KEY UPDATE"  # noqa: S608
    booking = {"patient_id": str(person.patient_id), "course_id": str(person.course_id), "scheduled_at": clinic.at(60 * 24)}
    assert await waits_behind(clinic, lock, clinic.post("/infusions", booking)) == 201
    complete = clinic.post(f"/infusions/{infusion_id}/complete", {"discharged_at": clinic.at(0)})
    assert await waits_behind(clinic, lock, complete) == 200


async def test_a_reading_waits_for_the_end_of_a_step_that_may_close_the_record(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    lock = f"SELECT 1 FROM infusion WHERE infusion_id = '{infusion_id}' FOR NO KEY UPDATE"  # noqa: S608
    reading = clinic.post(f"/infusions/{infusion_id}/vital-signs", {"measured_at": clinic.at(0), **CALM})
    assert await waits_behind(clinic, lock, reading) == 201


@pytest.mark.parametrize("reads", [3])
async def test_the_rows_of_a_clinic_are_not_there_for_another_transaction(open_clinic: Callable[[], Awaitable[Clinic]], reads: int) -> None:
    ours, theirs = await open_clinic(), await open_clinic()
    await theirs.completed()
    counts = await ours.counts()
    assert len(counts) == reads
    assert set(counts.values()) == {0}


async def test_two_amendments_of_one_course_at_once_are_both_kept_and_neither_waits_for_ever(clinic: Clinic) -> None:
    person = await clinic.patient()
    first = await clinic.completed(person)
    body = {"reason": "Typing mistake", "weight": {"value": 81, "unit": "kg"}}
    second = await clinic.scheduled(person, duplicate_confirmation={"reason": str(uuid4())})
    await clinic.step(second, "check-in", {"arrived_at": clinic.at(-150)})
    await clinic.step(second, "vital-signs", {"measured_at": clinic.at(-125), **CALM})
    await clinic.step(second, "start", clinic.start_body())
    await clinic.step(second, "pump-end", clinic.pump_body())
    await clinic.step(second, "complete", {"discharged_at": clinic.at(0)})
    nothing = {"reason": "Gave nothing", "dose_given": {"value": 0, "unit": "mg"}}
    seen_first, seen_second = await clinic.seen(first), await clinic.seen(second)
    of_first, of_second = await asyncio.gather(
        clinic.post(f"/infusions/{first}/amend", nothing, **seen_first), clinic.post(f"/infusions/{second}/amend", body, **seen_second)
    )
    assert of_first.status_code == 200
    if of_second.status_code != 200:
        # The first amendment came before and made the second infusion the course's first: another version than the one that was seen.
        assert (of_second.status_code, of_second.json()["code"]) == (412, "version-stale")
        await clinic.correct(second, "amend", body)
    amended = [(await clinic.get(f"/infusions/{infusion_id}")).json() for infusion_id in (first, second)]
    assert [record["first_of_course"] for record in amended] == [False, True]
    assert amended[0]["clinical"]["dose_given"]["value"] == 0
    assert amended[1]["clinical"]["weight"]["value"] == 81
    for infusion_id in (first, second):
        steps = [version["step"] for version in (await clinic.get(f"/infusions/{infusion_id}/versions")).json()["items"]]
        assert steps.count("amend") == 1
