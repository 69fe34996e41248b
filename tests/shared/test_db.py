"""Transactions that wait: what a connection is kept for, and what it is not kept for."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.db import kept_open, let_go
from shared.errors import TooSlow, Unavailable
from tests.support.databases import Databases
from tests.support.parties import CLINIC, Receiver
from tests.support.pipeline import Parties

TAKE, TRY = "SELECT pg_advisory_xact_lock(1)", "SELECT pg_try_advisory_xact_lock(1)"


@pytest_asyncio.fixture(loop_scope="session")
async def receiver(databases: Databases) -> AsyncIterator[Receiver]:
    parties = Parties(databases)
    yield await parties.receiver("receiver")
    await parties.leave()


async def waits(db: AsyncSession) -> None:
    """A transaction with a lock that is ended when it is idle for longer than a moment."""
    await db.execute(text("SET LOCAL idle_in_transaction_session_timeout = '500ms'"))
    await db.execute(text(TAKE))


async def works(receiver: Receiver) -> None:
    """What takes longer than that, on a connection of its own."""
    await receiver.admin.execute("SELECT pg_sleep(1.5)")


async def test_a_transaction_that_is_kept_open_has_its_lock_while_work_goes_on_elsewhere(receiver: Receiver) -> None:
    async with receiver.database.transaction() as db:
        await waits(db)
        async with kept_open(db, every_seconds=0.1):
            await works(receiver)
        assert await receiver.admin.fetchval(TRY) is False
        await db.execute(text("SELECT 1"))
    assert await receiver.admin.fetchval(TRY) is True


async def test_one_that_is_not_is_ended(receiver: Receiver) -> None:
    async def idle() -> None:
        async with receiver.database.transaction() as db:
            await waits(db)
            await works(receiver)
            await db.execute(text("SELECT 1"))

    with pytest.raises(Unavailable):
        await idle()


async def test_a_failure_while_it_is_kept_open_is_the_failure_of_the_work(receiver: Receiver) -> None:
    with pytest.raises(ZeroDivisionError):
        async with receiver.database.transaction() as db, kept_open(db, every_seconds=0.1):
            raise ZeroDivisionError


async def test_a_transaction_that_let_go_has_no_connection_and_is_in_no_clinic(receiver: Receiver) -> None:
    async with receiver.database.transaction(CLINIC) as db:
        assert receiver.database.connections_in_use() == 1
        await let_go(db)
        assert receiver.database.connections_in_use() == 0
        assert (await db.execute(text("SELECT current_setting('app.clinic_id', true)"))).scalar_one() in (None, "")


async def test_what_took_too_long_may_be_tried_again_by_who_asked(receiver: Receiver) -> None:
    async def dawdle() -> None:
        async with receiver.database.transaction() as db:
            await db.execute(text("SET LOCAL statement_timeout = '20ms'"))
            await db.execute(text("SELECT pg_sleep(5)"))

    with pytest.raises(TooSlow) as slow:
        await dawdle()
    assert (slow.value.status, slow.value.code) == (503, "unavailable")
