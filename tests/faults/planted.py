"""``python -m tests.faults.planted <service>``: a service with a bug in it, to see that the checker would find it.

``AFTERGLOW_PLANTED_BUG`` names the bug. Each one takes a single guard away; where a bug opens a window that the product does not
have, ``AFTERGLOW_FAILPOINTS=planted=kill@5`` kills at the fifth time that it stands open, and ``planted=stop@5`` freezes.
"""

import os
import re
import runpy
import signal
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, cast
from uuid import uuid4

_OWN = re.fullmatch(r"planted=(kill|stop)@(\d+)", os.environ.get("AFTERGLOW_FAILPOINTS", ""))
_passings = int(_OWN[2]) if _OWN else 0
if _OWN:
    os.environ["AFTERGLOW_FAILPOINTS"] = ""  # the product knows its own failpoints only, and reads them when it is imported

from asyncpg import Connection  # noqa: E402 - as said above
from sqlalchemy import text  # noqa: E402
from sqlmodel.ext.asyncio.session import AsyncSession  # noqa: E402

from shared.bus import Outgoing, Published, Record  # noqa: E402
from shared.db import Database  # noqa: E402
from shared.events.sessions import InfusionCompleted  # noqa: E402
from shared.inbox import Inbox  # noqa: E402
from shared.kafka.consuming import Consuming  # noqa: E402
from shared.kafka.partition import Partition  # noqa: E402
from shared.outbox import Relay, outgoing_of, write_emitted  # noqa: E402
from shared.reading import Chunk, Readable  # noqa: E402
from shared.service import Service  # noqa: E402
from shared.timers import _DUE, _FIRED, DueTimer, Timers  # noqa: E402
from shared.turns import Part  # noqa: E402
from shared.web import idempotency  # noqa: E402


def window() -> None:
    """Here the bug can be hit."""
    global _passings  # noqa: PLW0603 - a process has one such counter
    _passings -= 1
    if _passings == 0 and _OWN:
        os.kill(os.getpid(), signal.SIGKILL if _OWN[1] == "kill" else signal.SIGSTOP)


def no_inbox() -> None:
    """What has been handled before is handled again. The rows are written all the same: the checker looks at effects."""
    _window_before_an_end()
    claim = _guard(Inbox, "_claim")

    async def everything(self: Inbox, db: AsyncSession, chunk: Chunk) -> list[Readable]:
        await claim(self, db, chunk)
        return chunk.readable

    _replace(Inbox, "_claim", everything)


def no_compare_and_set() -> None:
    """Whoever commits moves the offset on, overtaken or not."""
    _window_before_an_end()
    advance = _guard(Inbox, "_advance")

    async def anyhow(self: Inbox, db: AsyncSession, records: Sequence[Record], place: Any, expected: Any) -> None:  # Any: handed on
        stored = await self.position(*place)
        await advance(self, db, records, place, stored.next_offset if stored else expected)

    _replace(Inbox, "_advance", anyhow)


def neither() -> None:
    """Both of them."""
    no_inbox()
    no_compare_and_set()


def _window_before_an_end() -> None:
    """Whoever is frozen here holds the end of an infusion in its hands, and has done nothing about it yet."""
    transaction = Inbox._transaction  # noqa: SLF001 - as everywhere in this file
    if getattr(transaction, "has_window", False):
        return

    async def entered(self: Inbox, chunk: Chunk, *arguments: Any) -> None:  # Any: handed on
        if any(isinstance(item.delivery.event, InfusionCompleted) for item in chunk.readable):
            window()
        await transaction(self, chunk, *arguments)

    entered.has_window = True  # type: ignore[attr-defined]  # known to the lines above only
    _replace(Inbox, "_transaction", entered)


def mark_before_acknowledgement() -> None:
    """What is about to be published counts as published."""
    publish = _guard(Relay, "_publish_while_trusted")

    async def marked_first(self: Relay, connection: "Connection[Any]", batch: list[Outgoing]) -> Published:
        await connection.execute("DELETE FROM platform.outbox_pending WHERE seq = ANY($1::bigint[])", [one.seq for one in batch])
        window()
        return cast(Published, await publish(self, connection, batch))

    _replace(Relay, "_publish_while_trusted", marked_first)


def offset_before_effects() -> None:
    """What is about to be handled counts as handled."""
    transaction = _guard(Inbox, "_transaction")

    async def moved_first(
        self: Inbox, chunk: Chunk, records: Sequence[Record], place: Any, expected: Any, company: Sequence[Part] = ()
    ) -> None:  # Any: handed on
        async with self.database.transaction() as db:
            await self._advance(db, records, place, expected)
            for part in company:
                await self._advance(db, part.records, part.place, part.expected)
        window()
        await transaction(self, chunk, records, None, None)

    _replace(Inbox, "_transaction", moved_first)


def fired_before_effects() -> None:
    """A timer counts as fired, and then what it was for is done."""

    async def fired_first(self: Timers, limit: int) -> int:
        async with self._database.transaction() as db:
            rows = (await db.execute(_DUE, {"now": self._clock.now(), "limit": limit})).mappings().all()
            due = [DueTimer(**row) for row in rows]
            await db.execute(_FIRED, {"keys": [timer.timer_key for timer in due], "dues": [timer.due_at for timer in due]})
        if due:
            window()
        async with self._database.transaction() as db:
            await self._fire(db, due)
        return len(due)

    _replace(Timers, "_round", fired_first)


def no_idempotency_key() -> None:
    """Every measurement is a new one, and no rule of the domain forbids a second one. The window: it is committed and not answered."""
    claim_of, commit = _guard(idempotency, "claim_of"), _guard(Database, "_commit")
    repeatable: ContextVar[bool] = ContextVar("repeatable", default=False)

    def always_new(request: Any, body: bytes) -> idempotency.Claim:  # Any: handed through
        claim = cast(idempotency.Claim, claim_of(request, body))
        repeatable.set(request.url.path.endswith("/vital-signs"))
        return idempotency.Claim(uuid4().hex, claim.request_hash) if repeatable.get() else claim

    async def unanswered(self: Database, db: AsyncSession) -> bool:
        told = await commit(self, db)
        if repeatable.get():
            window()
        return cast(bool, told)

    _replace(idempotency, "claim_of", always_new)
    _replace(Database, "_commit", unanswered)


def outbox_outside_the_transaction() -> None:
    """The state is committed, and then what is to be told of it. The window: an end, which no later event of the visit tells again."""
    commit = _guard(Database, "_commit")

    async def told_afterwards(self: Database, db: AsyncSession) -> bool:
        emitted, clinic = db.info.pop("emitted", None), db.info.get("clinic_id")
        await commit(self, db)
        if not emitted:
            return False
        if any(kind == InfusionCompleted.type.full_name for _, kind, *_ in emitted):
            window()
        async with self.engine.begin() as connection, AsyncSession(connection) as apart:
            apart.info.update(emitted=emitted, clinic_id=clinic)
            return await write_emitted(apart, producer=self.name)

    _replace(Database, "_commit", told_afterwards)


def dual_write() -> None:
    """The state is committed, and then what is to be told of it goes to the bus at once. No relay comes after it."""

    def with_its_bus(self: Service, *, wire: Callable[[Service], None] = Service.__post_init__) -> None:
        wire(self)
        self.database.bus = self.bus  # type: ignore[attr-defined]  # a bug needs no attribute of its own in the product

    async def told_directly(self: Database, db: AsyncSession) -> bool:
        await db.flush()
        await write_emitted(db, producer=self.name)
        rows = (await db.execute(_TAKE_OUT)).mappings().all()
        await db.commit()
        if rows:
            window()
            await self.bus.publish([outgoing_of(row, source=f"/{self.name}") for row in rows])  # type: ignore[attr-defined]  # as above
        return False

    _replace(Service, "__post_init__", with_its_bus)
    _replace(Database, "_commit", told_directly)


def fenced_partition_dropped() -> None:
    """Where the answer to a commit was lost, the partition finds itself fenced, and nobody works on it any more.

    Nobody watches for partitions that stand still either, which would join the group anew after half a minute.
    """
    lost_answers()

    async def dropped(self: Partition) -> bool:
        self._log.warning("planted.dropped")
        return False

    _replace(Partition, "_heal", dropped)
    _replace(Consuming, "stall_seconds", 3600.0)


def lost_answers() -> None:
    """No bug but a fault: now and then a commit is carried out and its answer does not come back."""
    transaction = _guard(Inbox, "_transaction")
    commits = iter(range(10**9))

    async def unheard(self: Inbox, *arguments: Any) -> None:  # Any: handed through
        await transaction(self, *arguments)
        if next(commits) % 12 == 11:
            raise ConnectionResetError

    _replace(Inbox, "_transaction", unheard)


def _guard(owner: Any, name: str) -> Any:  # Any: a class or a module, and what is in it
    """What is about to be replaced; a guard that has moved is an error."""
    return getattr(owner, name)


def _replace(owner: Any, name: str, by: Any) -> None:  # Any: as above
    _guard(owner, name)
    setattr(owner, name, by)


_TAKE_OUT = text(
    """
    WITH taken AS (DELETE FROM platform.outbox_pending RETURNING seq)
    SELECT l.* FROM platform.event_log l JOIN taken USING (seq) ORDER BY seq
    """
)
BUGS: dict[str, Callable[[], None]] = {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        no_inbox, no_compare_and_set, neither, mark_before_acknowledgement, offset_before_effects, fired_before_effects, no_idempotency_key,
        outbox_outside_the_transaction, dual_write, fenced_partition_dropped, lost_answers,
    )
}  # fmt: skip

if __name__ == "__main__":
    BUGS[os.environ["AFTERGLOW_PLANTED_BUG"]]()
    runpy.run_module(f"services.{sys.argv[1]}", run_name="__main__")
