"""Fixed statements of what happens for every infusion, sent by the driver itself. Which ones those are: docs/decisions/0011.

They run on the session's connection and in its transaction. SQLAlchemy between takes five times as long over a statement as the driver
does, which is right for queries that are put together and too much for the few texts that never change.
"""

import re
from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InternalError, OperationalError, ProgrammingError
from sqlmodel.ext.asyncio.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(r"(?<!:):([a-z]\w*)")
_CONNECTION = "connection of statements"
_CALLED: "Sequence[tuple[type[Exception], type[DBAPIError]]]" = (
    (asyncpg.InvalidCachedStatementError, OperationalError),  # a table was changed below it: the next try prepares it anew
    (asyncpg.IntegrityConstraintViolationError, IntegrityError),
    (asyncpg.SyntaxOrAccessError, ProgrammingError),
    (asyncpg.InternalServerError, InternalError),
    (asyncpg.InterfaceError, InterfaceError),
    (asyncpg.PostgresError, DBAPIError),
)
"""What SQLAlchemy calls the driver's errors: operators read these names of what is parked."""


class Statement:
    """One SQL text with parameters by name, ``:name``; not inside a quoted literal, where it would be taken for one too.

    The server gives each parameter its type from where it stands: cast it where that is not clear. Values go to the driver as they are:
    an enum as its ``.value``, ``jsonb`` as text.
    """

    def __init__(self, sql: str) -> None:
        self._names = list(dict.fromkeys(_NAME.findall(sql)))
        self.sql = _NAME.sub(lambda found: f"${self._names.index(found[1]) + 1}", sql)

    async def rows(self, db: AsyncSession, **values: object) -> "Sequence[asyncpg.Record]":
        """Run it in the session's transaction; rows are read by name, ``row["version"]``, and ``jsonb`` in them is what it holds.

        What the session has not flushed is not seen. As the first statement of a transaction it costs a second round trip. Raises what
        SQLAlchemy would, IntegrityError and other DBAPIErrors, besides what the driver lets through of a lost connection (``is_away``
        in ``shared/db.py`` knows both), and TypeError for values that are not the statement's.
        """
        if values.keys() != set(self._names):
            raise TypeError(f"the statement takes {', '.join(self._names) or 'no values'}")
        connection, driver = db.info.get(_CONNECTION) or await _connection_of(db)
        given = tuple(values[name] for name in self._names)
        for watcher in connection.dispatch.before_cursor_execute:  # for tests and benchmarks, which count statements
            watcher(connection, None, self.sql, given, None, False)
        try:
            return await driver.fetch(self.sql, *given)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            kind = next(ours for theirs, ours in _CALLED if isinstance(error, theirs))
            raise kind(self.sql, None, error, hide_parameters=True) from error


def forget_connection(db: AsyncSession) -> None:
    """The session gives its connection back."""
    db.info.pop(_CONNECTION, None)


async def _connection_of(db: AsyncSession) -> "tuple[Connection, asyncpg.Connection[asyncpg.Record]]":
    """The session's connection as SQLAlchemy has it, which is who tells watchers, and the driver's own."""
    connection = await db.connection()
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, asyncpg.Connection)
    assert connection.sync_connection is not None
    if not driver.is_in_transaction():
        await db.execute(text("SELECT"))  # SQLAlchemy sends BEGIN with the first statement of its own
    found = db.info[_CONNECTION] = connection.sync_connection, driver
    return found
