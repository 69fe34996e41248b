"""What is known of clients and practitioners follows their newest version, in whatever order it arrives."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest_asyncio
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text

from shared.db import Database
from shared.events.intake import ClientChanged, PractitionerChanged
from shared.events.registry import Delivery
from shared.security.projection import on_client_changed, on_practitioner_changed
from tests.support.databases import Databases

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CLINIC, OTHER_CLINIC = uuid4(), uuid4()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(databases: Databases) -> AsyncIterator[Database]:
    async with databases.clone("tiny") as url:
        database = Database(url, name="tiny")
        yield database
        await database.close()


def client(client_id: str, version: int, *, active: bool = True, clinic_id: UUID = CLINIC) -> Delivery[ClientChanged]:
    event = ClientChanged(client_id=client_id, client_version=version, active=active, may_act_for_practitioners=True, occurred_at=NOW)
    return Delivery(event, uuid4(), clinic_id, version)


def practitioner(practitioner_id: UUID, version: int, *roles: str) -> Delivery[PractitionerChanged]:
    event = PractitionerChanged(
        practitioner_id=practitioner_id, practitioner_version=version, roles=list(roles), active=bool(roles), occurred_at=NOW
    )
    return Delivery(event, uuid4(), CLINIC, version)


async def known(database: Database, table: str, column: str, value: object) -> list[dict[str, Any]]:
    async with database.transaction() as db:
        rows = await db.execute(text(f"SELECT * FROM platform.{table} WHERE {column} = :value"), {"value": value})  # noqa: S608 - our names
        return [dict(row) for row in rows.mappings()]


async def test_every_order_of_versions_ends_the_same(database: Database) -> None:
    for order in permutations((1, 2, 3)):
        person = uuid4()
        for version in order:
            async with database.transaction(CLINIC) as db:
                await on_practitioner_changed(db, [practitioner(person, version, f"role-{version}", "nurse")])
        (row,) = await known(database, "practitioner", "practitioner_id", person)
        assert (row["version"], sorted(row["roles"]), row["active"]) == (3, ["nurse", "role-3"], True)


async def test_every_order_of_a_clients_versions_ends_the_same(database: Database) -> None:
    for number, order in enumerate(permutations((1, 2, 3))):
        for version in order:
            async with database.transaction(CLINIC) as db:
                await on_client_changed(db, [client(f"ordered-{number}", version, active=version != 3)])
        (row,) = await known(database, "client", "client_id", f"ordered-{number}")
        assert (row["version"], row["active"]) == (3, False)


async def test_a_batch_may_hold_several_versions_of_one(database: Database) -> None:
    person, other = uuid4(), uuid4()
    async with database.transaction(CLINIC) as db:
        batch = [practitioner(person, 2, "b"), practitioner(other, 1, "a"), practitioner(person, 3), practitioner(person, 1, "a")]
        await on_practitioner_changed(db, batch)
    (row,) = await known(database, "practitioner", "practitioner_id", person)
    assert (row["version"], row["roles"], row["active"]) == (3, [], False)


async def test_a_batch_is_one_statement(database: Database) -> None:
    statements = []

    def count(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    async with database.transaction(CLINIC) as db:
        sqlalchemy_event.listen(database.engine.sync_engine, "before_cursor_execute", count)
        await on_client_changed(db, [client(f"many-{number}", 1) for number in range(50)])
        await on_practitioner_changed(db, [practitioner(uuid4(), 1, "a") for _ in range(50)])
        sqlalchemy_event.remove(database.engine.sync_engine, "before_cursor_execute", count)
    assert len(statements) == 2


async def test_a_handler_may_run_twice(database: Database) -> None:
    for _ in range(2):
        async with database.transaction(CLINIC) as db:
            await on_client_changed(db, [client("twice", 1), client("twice", 2, active=False)])
    (row,) = await known(database, "client", "client_id", "twice")
    assert (row["version"], row["active"], row["may_act"], row["clinic_id"]) == (2, False, True, CLINIC)


async def test_another_clinic_cannot_change_a_client(database: Database) -> None:
    for clinic_id, version, active in ((CLINIC, 1, True), (OTHER_CLINIC, 9, False)):
        async with database.transaction(clinic_id) as db:
            await on_client_changed(db, [client("taken", version, active=active, clinic_id=clinic_id)])
    (row,) = await known(database, "client", "client_id", "taken")
    assert (row["clinic_id"], row["active"]) == (CLINIC, True)
