"""The database handle: one engine per service, one transaction per request or event, the clinic set inside it.

Only this module commits; the relay marks what it has moved on a connection of its own. Before a commit the session is flushed and the
events that were handed to ``emit`` are written, so state and events always become visible together.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from traceback import walk_tb
from typing import Any
from uuid import UUID

from asyncpg import InternalClientError
from sqlalchemy import Column, DateTime, MetaData, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.ext.asyncio import AsyncSession as PlainSession
from sqlalchemy.pool import QueuePool
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import failpoints, outbox
from shared.errors import TooSlow, Unavailable
from shared.statements import forget_connection

IDLE_IN_TRANSACTION_SECONDS = 10
"""After so long PostgreSQL ends a transaction that sends nothing: a frozen process holds up nobody for longer."""
_SIGNS_OF_LIFE = 5
"""How many ``kept_open`` gives in that time."""

NAMING = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
"""Constraint names, the same in models and in migrations."""

_AWAY_SQLSTATES = frozenset({"40001", "40P01", "53300", "57P01", "57P02", "57P03", "25P03", "53100"})
"""Serialization failure, deadlock, too many connections, shutdown, crash, starting up, idle timeout, disk full."""
_SLOW_SQLSTATES = frozenset({"55P03", "57014"})
"""Lock timeout, statement timeout."""
_DRIVER = frozenset({"sqlalchemy", "asyncpg"})


def service_metadata() -> MetaData:
    """Metadata for one service's own table base."""
    return MetaData(naming_convention=NAMING)


def utc_column(*, nullable: bool = False, **options: Any) -> Column[datetime]:  # Any: passed through to SQLAlchemy's Column
    """A fresh ``timestamptz`` column."""
    return Column(DateTime(timezone=True), nullable=nullable, **options)


def is_away(error: BaseException) -> bool:
    """Whether an error means that PostgreSQL cannot be reached or asks to try again, and not that we did something wrong.

    A statement that took too long is ours, as far as anybody can tell: who tries it again must come to an end.
    """
    if isinstance(error, Unavailable):
        return not isinstance(error, TooSlow)
    if isinstance(error, OSError | asyncio.TimeoutError):
        return _is_of_driver(error)
    if isinstance(error, PoolTimeout | InterfaceError | OperationalError | InternalClientError):
        return True  # the last is the driver's, of a connection that the server has just ended
    if isinstance(error, DBAPIError):
        sqlstate = getattr(error.orig, "sqlstate", None)
        return error.connection_invalidated or sqlstate is None or sqlstate in _AWAY_SQLSTATES or sqlstate.startswith("08")
    return False


def _is_slow(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _SLOW_SQLSTATES


def _is_of_driver(error: BaseException) -> bool:
    """Whether an error that anything can raise came up while the driver worked, which lets those of the network through as they are."""
    modules = (str(frame.f_globals.get("__name__")) for frame, _ in walk_tb(error.__traceback__))
    return any(module.partition(".")[0] in _DRIVER for module in modules)


class _Session(AsyncSession):
    """SQLModel's session without its warning at each ``execute``, which is what plain SQL is run with."""

    execute = PlainSession.execute


class Database:
    """One service's database. ``on_commit`` is called after every commit that wrote events, to wake the relay."""

    def __init__(self, url: str, *, name: str, pool_size: int = 10, statement_timeout_seconds: int = 15) -> None:
        """``url`` is an SQLAlchemy URL with the asyncpg driver; ``name`` is the producing service, also shown in pg_stat_activity."""
        self.name = name
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            pool_pre_ping=False,
            pool_recycle=1800,
            hide_parameters=True,
            connect_args={
                "timeout": 5,
                "server_settings": {
                    "application_name": f"afterglow-{name}",
                    "statement_timeout": str(statement_timeout_seconds * 1000),
                    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_SECONDS * 1000),
                    "lock_timeout": "10000",
                    "jit": "off",
                },
            },
        )
        self.pool_size = pool_size
        self.on_commit: list[Callable[[], None]] = []

    def connections_in_use(self) -> int:
        """Connections that a transaction has right now."""
        pool = self.engine.pool
        assert isinstance(pool, QueuePool)
        return pool.checkedout()

    @asynccontextmanager
    async def transaction(self, clinic_id: UUID | None = None) -> AsyncIterator[AsyncSession]:
        """One transaction: commits at the end, rolls back on any exception. Raises Unavailable when PostgreSQL is away."""
        db = _Session(self.engine, expire_on_commit=False)
        try:
            if clinic_id is not None:
                await enter_clinic(db, clinic_id)
            yield db
            emitted = await self._commit(db)
        except BaseException as error:  # also when called off: no transaction stays open, and the connection goes back
            await _uninterrupted(_quietly(db))
            if isinstance(error, Unavailable):
                raise
            if _is_slow(error):
                raise TooSlow("The database took too long.") from error
            if isinstance(error, Exception) and is_away(error):
                raise Unavailable("The database cannot be reached.") from error
            raise
        await _uninterrupted(db.close())
        if emitted:
            for wake in self.on_commit:
                wake()

    async def _commit(self, db: AsyncSession) -> bool:
        await db.flush()
        emitted = await outbox.write_emitted(db, producer=self.name)
        failpoints.hit("outbox.before_commit")
        await _uninterrupted(db.commit())
        forget_connection(db)
        return emitted

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.dispose()


async def enter_clinic(db: AsyncSession, clinic_id: UUID) -> None:
    """Put the rest of this transaction inside one clinic: row-level security shows and accepts only its rows."""
    if db.info.get("clinic_id") not in (None, clinic_id):
        await db.flush()  # what was changed in the clinic that we leave would be hidden from a later flush
    entered = await db.execute(_ENTER, {"clinic_id": str(clinic_id)})
    note_clinic(db, clinic_id, entered.one().stamp)


async def let_go(db: AsyncSession) -> None:
    """Give the connection of a transaction that has only read back to the others, before something that is slow and needs none."""
    await db.rollback()
    forget_connection(db)


@asynccontextmanager
async def kept_open(db: AsyncSession, *, every_seconds: float = IDLE_IN_TRANSACTION_SECONDS / _SIGNS_OF_LIFE) -> AsyncIterator[None]:
    """Keep a transaction, and the locks that it has, while slow work goes on elsewhere: PostgreSQL ends an idle one.

    Nothing else may use the session in this block.
    """
    done = asyncio.Event()
    beating = asyncio.create_task(_beat(db, done, every_seconds))
    try:
        yield
    finally:
        done.set()
        await asyncio.wait({beating})
    await beating


async def _beat(db: AsyncSession, done: asyncio.Event, every_seconds: float) -> None:
    while not done.is_set():
        try:
            await asyncio.wait_for(done.wait(), every_seconds)
        except TimeoutError:
            await db.execute(text("SELECT 1"))


def note_clinic(db: AsyncSession, clinic_id: UUID, stamp: int | None) -> None:
    """Remember the clinic of a transaction that was entered by another statement, and the stamp of its clinical documents."""
    db.info["clinic_id"] = clinic_id
    db.info["documents_stamp"] = stamp or 0


def documents_stamp(db: AsyncSession) -> int:
    """Grows with each change of which clinical documents count in this transaction's clinic; 0 where only defaults do."""
    return int(db.info["documents_stamp"])


def clinic_of(db: AsyncSession) -> UUID:
    """The clinic of this transaction. Raises LookupError when none was entered, which is a mistake of ours."""
    clinic_id = db.info.get("clinic_id")
    if clinic_id is None:
        raise LookupError("this transaction has entered no clinic")
    return UUID(str(clinic_id))


_ENTER = text(
    """
    SELECT set_config('app.clinic_id', :clinic_id, true),
        (SELECT stamp FROM platform.document_stamp WHERE clinic_id = CAST(:clinic_id AS uuid)) AS stamp
    """
)


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:  # Any: the send and throw types of a coroutine
    """Finish ``work`` even when this task is cancelled meanwhile: a half-done commit or close would leak its connection."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _quietly(db: AsyncSession) -> None:
    """Roll back and close, even on a connection that is already gone."""
    try:
        await db.rollback()
    except Exception:  # noqa: BLE001 - the transaction is lost either way; the first error is the one to report
        await db.invalidate()
    finally:
        await db.close()
