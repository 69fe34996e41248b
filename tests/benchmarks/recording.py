"""The product's own statements, taken down while it completes infusions: what the floor replays, and what is counted.

The services are built in this process, over the real databases and without Kafka; whatever they send to PostgreSQL is noted with its
parameters, transaction by transaction.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from services.embedded import Embedding, build
from shared.bus import Outgoing, Position, Record
from shared.clock import SystemClock
from shared.outbox import outgoing_of
from shared.service import Service
from shared.web import application
from tests.benchmarks.ground import Ground, Waiting
from tests.faults.installation import ORIGIN
from tests.support.house import ClonedServer

PARTITION = 7919
FIRST_OFFSET = 7_919_000_000
"""A place that no topic has, so that these numbers are found again among the parameters."""
SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 50)
"""So many events are handled in one transaction."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One statement as the driver got it."""

    sql: str
    parameters: Any  # Any: a tuple, or for ``many`` a list of them
    many: bool


@dataclass
class Transaction:
    """What happened between BEGIN and COMMIT."""

    statements: list[Sent] = field(default_factory=list)

    @property
    def round_trips(self) -> int:
        """One for each statement, BEGIN and COMMIT among them; a statement with many sets of parameters is sent in one go."""
        return len(self.statements) + 2


@dataclass(frozen=True)
class Recording:
    """One transaction, and the ids in it that change with what it is about."""

    transaction: Transaction
    subjects: Sequence[UUID | int]


@contextmanager
def noted(engine: AsyncEngine) -> Iterator[list[Transaction]]:
    """Committed transactions of this engine, as they come."""
    committed: list[Transaction] = []
    running: dict[int, Transaction] = {}

    def begin(connection: Any) -> None:  # Any: SQLAlchemy's events are untyped
        running[id(connection)] = Transaction()

    def execute(connection: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, many: bool) -> None:
        running[id(connection)].statements.append(Sent(sql, parameters, many))

    def commit(connection: Any) -> None:
        committed.append(running.pop(id(connection)))

    listeners = (("begin", begin), ("before_cursor_execute", execute), ("commit", commit))
    for name, listener in listeners:
        event.listen(engine.sync_engine, name, listener)
    try:
        yield committed
    finally:
        for name, listener in listeners:
            event.remove(engine.sync_engine, name, listener)


@dataclass
class Workshop:
    """Two services in this process, driven by hand."""

    ground: Ground
    sessions: Service
    followup: Service
    http: httpx.AsyncClient

    async def completion(self, waiting: Waiting) -> Recording:
        """What sessions does for one completion."""
        headers = {
            "Authorization": f"Bearer {await self.ground.system.access_token()}",
            "Afterglow-Practitioner": str(self.ground.prescriber),
            "Idempotency-Key": str(uuid4()),
        }
        path = f"/sessions/v1/infusions/{waiting.infusion_id}/complete"
        with noted(self.sessions.database.engine) as transactions:
            answer = await self.http.post(path, json={"discharged_at": self.ground.discharged_at.isoformat()}, headers=headers)
        assert answer.status_code == 200, answer.text
        (transaction,) = transactions
        return Recording(transaction, waiting.ids)

    async def follow_up(self, records: Sequence[Record], whose: Sequence[Waiting]) -> Recording:
        """What followup does for so many completions that come together."""
        assert self.followup.inbox is not None
        first = FIRST_OFFSET + uuid4().int % 1_000_000
        placed = [Record(r.topic, PARTITION, first + n, r.key, r.value, r.headers) for n, r in enumerate(records)]
        await self.followup.inbox.start_at("sessions.events", PARTITION, Position(first))
        with noted(self.followup.database.engine) as transactions:
            await self.followup.inbox.handle(placed, partition=("sessions.events", PARTITION), expected=first)
        (transaction,) = transactions
        events = [UUID(dict(record.headers)["ce_id"].decode()) for record in records]
        subjects = [id_ for one, event_id in zip(whose, events, strict=True) for id_ in (*one.ids, event_id)]
        return Recording(transaction, [PARTITION, first, first + len(records), *subjects])

    async def told(self, whose: Sequence[Waiting]) -> list[Record]:
        """The events of these infusions' completions, as Kafka would bring them, and no more waiting for the relay."""
        ids = [f"Infusion/{one.infusion_id}" for one in whose]
        rows = await self.ground.sessions.fetch(_TOLD, ids)
        await self.ground.sessions.execute(
            "DELETE FROM platform.outbox_pending WHERE seq = ANY($1::bigint[])", [row["seq"] for row in rows]
        )
        records = {row["subject"]: _record(outgoing_of(row, source="/sessions")) for row in rows}
        return [records[id_] for id_ in ids]


@asynccontextmanager
async def workshop(ground: Ground) -> AsyncIterator[Workshop]:
    """Sessions and followup built as the embedded mode does, and not running: no relay, no consumer, no timers."""
    installation = ground.installation
    embedding = Embedding(installation.folder, port=installation.one("intake").port, env="test", public_url=ORIGIN)
    built = {service.name: service for service in build(embedding, ClonedServer(installation.urls), SystemClock())}
    async with AsyncExitStack() as stack:
        for service in built.values():
            stack.push_async_callback(service.database.close)
        app = application(built["sessions"])
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN)
        await stack.enter_async_context(http)
        yield Workshop(ground, built["sessions"], built["followup"], http)


@dataclass(frozen=True)
class Recordings:
    """All that one run replays and counts."""

    completion: Recording
    follow_ups: Mapping[int, Recording]


async def record(ground: Ground) -> Recordings:
    """Complete infusions by hand and note what the product does, in batches of every size."""
    async with workshop(ground) as shop:
        completion = None
        follow_ups = {}
        for size in SIZES:
            whose = await ground.mixed(size)
            for one in whose:
                completion = await shop.completion(one)
            follow_ups[size] = await shop.follow_up(await shop.told(whose), whose)
        assert completion is not None
        return Recordings(completion, follow_ups)


def _record(outgoing: Outgoing) -> Record:
    return Record(outgoing.topic, PARTITION, 0, outgoing.key, outgoing.value, outgoing.headers)


_TOLD = "SELECT * FROM platform.event_log WHERE subject = ANY($1::text[]) AND type LIKE 'sessions.infusion.completed%'"
