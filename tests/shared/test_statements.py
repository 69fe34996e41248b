"""Statements that the driver sends by itself: in the session's transaction, and refused and watched like all others."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from shared.db import is_away, let_go
from shared.errors import TooSlow, Unavailable
from shared.statements import Statement
from tests.support.databases import Databases
from tests.support.parties import CLINIC, Receiver
from tests.support.pipeline import Parties
from tests.support.waiting import eventually

ADDED = Statement("SELECT CAST(:one AS int) + CAST(:day_0 AS int) AS sum, :one::text AS again")
MINE = Statement("SELECT pg_backend_pid() AS pid, pg_current_xact_id()::text AS transaction")
MINE_BY_SESSION = text(MINE.sql)
LOCKED = Statement("SELECT pg_advisory_xact_lock(7)")
ASLEEP = Statement("SELECT pg_sleep(60)")
CLAIMED = Statement("INSERT INTO platform.key_clinic (key, clinic_id) VALUES (:key, :clinic_id) RETURNING key")


@pytest_asyncio.fixture(loop_scope="session")
async def receiver(databases: Databases) -> AsyncIterator[Receiver]:
    parties = Parties(databases)
    yield await parties.receiver("receiver")
    await parties.leave()


async def test_parameters_are_given_by_name_and_a_cast_is_no_name(receiver: Receiver) -> None:
    async with receiver.database.transaction() as db:
        (row,) = await ADDED.rows(db, day_0=2, one=1)
    assert (row["sum"], row["again"]) == (3, "1")


@pytest.mark.parametrize("values", [{"day_0": 2}, {"day_0": 2, "one": 1, "won": 1}], ids=["one too few", "one too many"])
async def test_values_that_are_not_the_statements_are_a_mistake(receiver: Receiver, values: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="takes one, day_0"):
        async with receiver.database.transaction() as db:
            await ADDED.rows(db, **values)


@pytest.mark.parametrize("first", [True, False])
async def test_it_runs_in_the_transaction_of_the_session_whoever_is_first(receiver: Receiver, first: bool) -> None:
    async with receiver.database.transaction() as db:
        if first:
            (row,) = await MINE.rows(db)
            assert (await db.execute(MINE_BY_SESSION)).one() == tuple(row)
        else:
            by_session = (await db.execute(MINE_BY_SESSION)).one()
            (row,) = await MINE.rows(db)
            assert by_session == tuple(row)


async def test_what_it_wrote_goes_with_the_transaction(receiver: Receiver) -> None:
    async def fail() -> None:
        async with receiver.database.transaction(CLINIC) as db:
            await CLAIMED.rows(db, key="gone", clinic_id=CLINIC)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with receiver.database.transaction(CLINIC) as db:
        await CLAIMED.rows(db, key="stays", clinic_id=CLINIC)
    kept = await receiver.admin.fetch("SELECT key FROM platform.key_clinic WHERE key IN ('gone', 'stays')")
    assert [row["key"] for row in kept] == ["stays"]


async def test_a_collision_is_what_sqlalchemy_calls_one(receiver: Receiver) -> None:
    async def collide() -> None:
        async with receiver.database.transaction(CLINIC) as db:
            await CLAIMED.rows(db, key="twice", clinic_id=CLINIC)
            await CLAIMED.rows(db, key="twice", clinic_id=CLINIC)

    with pytest.raises(IntegrityError) as collision:
        await collide()
    assert getattr(collision.value.orig, "sqlstate", None) == "23505"
    assert "twice" not in str(collision.value.statement)


async def test_a_mistake_of_ours_is_not_taken_for_a_database_that_is_away(receiver: Receiver) -> None:
    with pytest.raises(ProgrammingError) as mistake:
        async with receiver.database.transaction() as db:
            await Statement("SELECT 1 FROM nowhere").rows(db)
    assert not is_away(mistake.value)


async def test_a_connection_that_the_server_ended_is_a_database_that_is_away_and_the_next_transaction_has_another(
    receiver: Receiver,
) -> None:
    pids = []

    async def lose_it() -> None:
        async with receiver.database.transaction() as db:
            pids.append((await MINE.rows(db))[0]["pid"])
            await receiver.admin.execute("SELECT pg_terminate_backend($1)", pids[0])
            await MINE.rows(db)
            await MINE.rows(db)

    with pytest.raises(Unavailable):
        await lose_it()
    async with receiver.database.transaction() as db:
        assert (await MINE.rows(db))[0]["pid"] not in pids


async def test_a_table_that_grew_below_it_is_a_database_to_try_again(receiver: Receiver) -> None:
    await receiver.admin.execute("CREATE TABLE public.grows AS SELECT 1 AS one; GRANT SELECT ON public.grows TO PUBLIC")
    everything = Statement("SELECT * FROM public.grows")

    async def read_it() -> list[str]:
        async with receiver.database.transaction() as db:
            return list((await everything.rows(db))[0].keys())

    assert await read_it() == ["one"]
    await receiver.admin.execute("ALTER TABLE public.grows ADD two int")
    with pytest.raises(Unavailable):
        await read_it()
    assert await read_it() == ["one", "two"]


async def test_what_a_statement_was_given_is_not_in_its_error(receiver: Receiver) -> None:
    with pytest.raises(ProgrammingError) as refused:
        async with receiver.database.transaction() as db:
            await db.execute(text("SELECT :name FROM nowhere"), {"name": "Mary Example"})
    assert "Mary" not in str(refused.value)


async def test_one_that_is_called_off_leaves_no_lock_and_no_connection(receiver: Receiver) -> None:
    async def wait_for_ever() -> None:
        async with receiver.database.transaction() as db:
            await LOCKED.rows(db)
            await ASLEEP.rows(db)

    waiting = asyncio.create_task(wait_for_ever())
    await eventually(partial(receiver.admin.fetchval, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert receiver.database.connections_in_use() == 0
    assert await receiver.admin.fetchval("SELECT pg_try_advisory_xact_lock(7)") is True
    async with receiver.database.transaction() as db:
        assert await MINE.rows(db)


async def test_after_a_transaction_has_let_go_it_runs_on_the_connection_that_comes_next(receiver: Receiver) -> None:
    async with receiver.database.transaction() as db:
        (before,) = await MINE.rows(db)
        await let_go(db)
        assert receiver.database.connections_in_use() == 0
        (after,) = await MINE.rows(db)
        assert receiver.database.connections_in_use() == 1
    assert after["transaction"] != before["transaction"]


async def test_who_watches_the_engine_sees_it(receiver: Receiver) -> None:
    seen: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, sql: str, parameters: object, *_rest: object) -> None:
        seen.append((sql, parameters))

    engine = receiver.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        async with receiver.database.transaction() as db:
            await ADDED.rows(db, one=1, day_0=2)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert seen[-1] == (ADDED.sql, (1, 2))


async def test_one_that_outlasts_its_time_is_a_503_and_leaves_no_connection(receiver: Receiver) -> None:
    async def outlast() -> None:
        async with receiver.database.transaction() as db:
            await db.execute(text("SET LOCAL statement_timeout = 50"))
            await ASLEEP.rows(db)

    with pytest.raises(TooSlow) as refused:
        await outlast()
    assert refused.value.status == 503
    assert receiver.database.connections_in_use() == 0
    async with receiver.database.transaction() as db:
        assert await MINE.rows(db)


async def test_a_connection_that_is_lost_while_the_server_works_is_a_503_and_leaves_no_connection(receiver: Receiver) -> None:
    pids: list[int] = []

    async def lose_it() -> None:
        async with receiver.database.transaction() as db:
            pids.append((await MINE.rows(db))[0]["pid"])
            await ASLEEP.rows(db)

    async def asleep() -> bool:
        return (
            await receiver.admin.fetchval("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $1", pids[0]) if pids else False
        )

    losing = asyncio.create_task(lose_it())
    await eventually(asleep)
    await receiver.admin.execute("SELECT pg_terminate_backend($1)", pids[0])
    with pytest.raises(Unavailable) as refused:
        await losing
    assert refused.value.status == 503
    assert receiver.database.connections_in_use() == 0
    async with receiver.database.transaction() as db:
        assert (await MINE.rows(db))[0]["pid"] not in pids
