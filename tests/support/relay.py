"""Holding up a service's relay from outside, as a second process with the lock would."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import make_url

from tests.support.waiting import eventually

_LOCK = "SELECT pg_try_advisory_lock(2823, hashtext('relay'))"
_END_RELAY = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'afterglow-relay'
"""


@asynccontextmanager
async def relay_held_up(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """While this holds nothing is relayed from the database; gives the connection that has the relay's lock."""
    connection = await asyncpg.connect(make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False))

    async def taken() -> bool:
        if await connection.fetchval(_LOCK):
            return True
        await connection.execute(_END_RELAY)
        return False

    try:
        await eventually(taken)
        yield connection
    finally:
        await connection.close()
