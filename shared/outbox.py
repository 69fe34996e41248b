"""Outbox: events are written in the transaction of the change they tell of, and relayed to the bus afterwards.

``emit`` only collects; one statement at the end of the transaction writes all of them. That statement takes the lock of each key's
stream row before it draws sequence numbers, so one key's events get them in the order of commit. The relay finds work by presence
(a row in ``outbox_pending`` is not yet on the bus), never by a cursor over sequence numbers, which would skip late commits.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import make_url, text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import failpoints, parking, telemetry
from shared.bus import Bus, BusUnavailable, Outgoing, Published, cloud_event_headers, partition_of
from shared.events.registry import Event
from shared.pausing import pause
from shared.statements import Statement

BATCH = 500
OF_ONE_KEY = 100
"""Events of one key in a batch, at most; each key's first event comes before any key's second. So another patient's event waits for one
batch at most behind what one patient has waiting."""
TOLD_AGAIN = 100
"""Newest events of a key that are told again where one is missing: several times what a course's infusions tell."""
IN_VIEW, FAR = 2_000, 50_000
"""So many events the relay looks through for other keys, and so many after a batch that was cut short for a key."""
_HEARTBEAT_SECONDS = 1.0
LOCKS = 2823
"""The first number of the advisory locks that one process of a service holds, in the service's database."""
_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError)
"""The last but one is what the driver says when the server ended the connection between two statements and the end is not read yet."""
_WRITE = Statement(
    """
    WITH e AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:types AS text[]), CAST(:topics AS text[]), CAST(:keys AS text[]),
                             CAST(:subjects AS text[]), CAST(:partitions AS smallint[]), CAST(:clinics AS uuid[]),
                             CAST(:occurred AS timestamptz[]), CAST(:correlations AS uuid[]), CAST(:causations AS uuid[]),
                             CAST(:traces AS text[]), CAST(:hops AS smallint[]), CAST(:data AS bytea[]))
               WITH ORDINALITY AS e(event_id, type, topic, key, subject, partition, clinic_id, occurred_at, correlation_id,
                                    causation_id, traceparent, hops, data, n)
    ), s AS (
        INSERT INTO platform.stream AS stream (topic, key, version)
        SELECT topic, key, count(*) FROM e GROUP BY topic, key ORDER BY topic, key
        ON CONFLICT (topic, key) DO UPDATE SET version = stream.version + EXCLUDED.version
        RETURNING topic, key, version
    ), l AS (
        INSERT INTO platform.event_log (event_id, type, topic, key, key_version, partition, subject, clinic_id, occurred_at,
                                        correlation_id, causation_id, traceparent, hops, data)
        SELECT e.event_id, e.type, e.topic, e.key,
               s.version - count(*) OVER (PARTITION BY e.topic, e.key) + row_number() OVER (PARTITION BY e.topic, e.key ORDER BY e.n),
               e.partition, e.subject, e.clinic_id, e.occurred_at, e.correlation_id, e.causation_id, e.traceparent, e.hops, e.data
        FROM e JOIN s USING (topic, key) ORDER BY e.n
        RETURNING seq, partition
    )
    INSERT INTO platform.outbox_pending (seq, partition) SELECT seq, partition FROM l
    """
)
KEPT = """
    seq, l.partition, l.event_id, l.type, l.topic, l.key, l.key_version, l.subject, l.clinic_id, l.occurred_at,
    l.correlation_id, l.causation_id, l.traceparent, l.hops, l.data
"""
"""What ``outgoing_of`` needs of a row of the event log ``l``."""
SELECT_PENDING = f"""
    WITH in_view AS (
        SELECT l.seq, row_number() OVER (PARTITION BY l.key ORDER BY l.seq) AS nth FROM (
            SELECT seq FROM platform.outbox_pending WHERE partition <> ALL($1::smallint[]) ORDER BY seq LIMIT $3
        ) p JOIN platform.event_log l USING (seq)
    )
    SELECT {KEPT} FROM (SELECT seq, nth FROM in_view WHERE nth <= {OF_ONE_KEY} ORDER BY nth, seq LIMIT $2) p
    JOIN platform.event_log l USING (seq) ORDER BY nth, seq
"""  # noqa: S608 - constants of ours
_TELL_AGAIN = text(
    """
    INSERT INTO platform.outbox_pending (seq, partition)
    SELECT l.seq, l.partition FROM unnest(CAST(:keys AS text[])) AS k(key) CROSS JOIN LATERAL (
        SELECT seq, partition FROM platform.event_log WHERE topic = :topic AND key = k.key ORDER BY key_version DESC LIMIT :newest
    ) l ORDER BY l.seq
    ON CONFLICT DO NOTHING
    """
)
SETTLE = "DELETE FROM platform.outbox_pending WHERE seq = ANY($1::bigint[])"


def emit(db: AsyncSession, event: Event) -> UUID:
    """Tell others of a change made in this transaction; returns the event's id. Raises MalformedEvent beyond 256 KiB."""
    event_id = uuid4()
    trace = telemetry.current_trace()
    db.info.setdefault("emitted", []).append(
        (
            event_id,
            event.type.full_name,
            event.type.topic,
            event.key,
            event.subject,
            partition_of(event.key),
            UUID(str(db.info["clinic_id"])),
            event.occurred_at,
            trace.correlation_id,
            trace.causation_id,
            trace.traceparent,
            trace.hops,
            event.to_bytes(),
        )
    )
    return event_id


_COLUMNS = "ids types topics keys subjects partitions clinics occurred correlations causations traces hops data".split()


async def write_emitted(db: AsyncSession, *, producer: str) -> bool:
    """Write what was emitted, as the last thing before the commit. A service writes its own topic only."""
    emitted = db.info.pop("emitted", None)
    if not emitted:
        return False
    if foreign := {row[2] for row in emitted} - {f"{producer}.events"}:
        raise ValueError(f"{producer} must not write to {', '.join(sorted(foreign))}")
    await _WRITE.rows(db, **dict(zip(_COLUMNS, map(list, zip(*emitted, strict=True)), strict=True)))
    return True


async def tell_again(db: AsyncSession, *, producer: str, keys: Collection[str]) -> None:
    """Put the newest events of these keys into the outbox once more, as they were told: whoever has them skips them by their ids.

    For a consumer that lacks one: nothing that was told after it is applied before it comes.
    """
    if keys:
        await db.execute(_TELL_AGAIN, {"topic": f"{producer}.events", "keys": sorted(keys), "newest": TOLD_AGAIN})


def outgoing_of(row: Any, *, source: str) -> Outgoing:  # Any: a row of the event log, from either of two drivers
    """A row of the event log as the record that goes to the bus; always the same bytes and headers for the same row."""
    headers = cloud_event_headers(
        event_id=row["event_id"],
        type_name=row["type"],
        source=source,
        subject=row["subject"],
        occurred_at=row["occurred_at"],
        key=row["key"],
        sequence=row["key_version"],
        clinic_id=row["clinic_id"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        traceparent=row["traceparent"],
        hops=row["hops"],
    )
    return Outgoing(row["seq"], row["topic"], row["partition"], row["key"].encode(), row["data"], headers)


class Relay:
    """Moves pending events of one service to the bus. Of several processes one is active, held by an advisory lock."""

    def __init__(self, database_url: str, bus: Bus, *, service: str, metrics: telemetry.Metrics) -> None:
        self._dsn = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._bus = bus
        self._source = f"/{service}"
        self._metrics = metrics
        self._log = telemetry.logger("relay", service=service)
        self._wake = asyncio.Event()
        self._backoff: dict[int, tuple[float, float]] = {}

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Stand by for the lock, then relay, until ``stop``; survives the loss of database or bus."""
        ending = asyncio.create_task(self._wake_at(stop))
        try:
            while not stop.is_set():
                try:
                    await self._with_connection(stop)
                except _AWAY as error:
                    self._log.warning("relay.database_away", error_class=type(error).__name__)
                    await pause(stop, 1.0)
        finally:
            ending.cancel()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _with_connection(self, stop: asyncio.Event) -> None:
        # A frozen process keeps its TCP connection alive; idle_session_timeout lets the lock go all the same, and the heartbeat of a
        # live one, every second, keeps it.
        settings = {"idle_session_timeout": "6000", "application_name": "afterglow-relay"}
        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=10, server_settings=settings)
        try:
            while not stop.is_set():
                if await connection.fetchval("SELECT pg_try_advisory_lock($1, hashtext('relay'))", LOCKS):
                    await self._lead(connection, stop)
                    return
                if await self._woken(_HEARTBEAT_SECONDS):
                    await connection.execute("NOTIFY afterglow_outbox")
                    await pause(stop, 0.05)
        finally:
            self._metrics.relay_leading.set(0)
            await _close(connection)

    async def _lead(self, connection: "asyncpg.Connection[asyncpg.Record]", stop: asyncio.Event) -> None:
        # Only who leads listens: a standby would hear its own call and call again, for ever.
        await connection.add_listener("afterglow_outbox", lambda *_: self._wake.set())
        self._log.info("relay.active")
        self._metrics.relay_leading.set(1)
        self._backoff.clear()
        in_view = IN_VIEW
        while not stop.is_set():
            self._wake.clear()
            rows = await connection.fetch(SELECT_PENDING, self._blocked(), BATCH, in_view)
            cut_short = OF_ONE_KEY in Counter(row["key"] for row in rows).values()
            in_view = FAR if cut_short else IN_VIEW
            if rows:
                failpoints.hit("relay.after_select")
                await self._relay(connection, rows)
            if len(rows) < BATCH and not cut_short:
                await self._woken(_HEARTBEAT_SECONDS)

    async def _relay(self, connection: "asyncpg.Connection[asyncpg.Record]", rows: list[asyncpg.Record]) -> None:
        published = await self._publish_while_trusted(connection, [outgoing_of(row, source=self._source) for row in rows])
        failpoints.hit("relay.after_publish")
        await self._mark(connection, rows, published)
        failpoints.hit("relay.after_mark")
        self._note(published, rows)

    async def _mark(self, connection: "asyncpg.Connection[asyncpg.Record]", rows: list[asyncpg.Record], published: Published) -> None:
        """What the bus has taken, or never will, is pending no more."""
        if not published.refused:
            await connection.execute(SETTLE, published.taken)  # a transaction by itself: one round trip instead of three
            return
        async with connection.transaction():
            for row in rows:
                if row["seq"] in published.refused:
                    await self._park(connection, row, published.refused[row["seq"]])
            await connection.execute(SETTLE, [*published.taken, *published.refused])

    async def _publish_while_trusted(self, connection: Any, batch: list[Outgoing]) -> Published:  # Any: asyncpg's generic
        """Publish, and beat the heart of the lock's connection meanwhile; when that fails, the lock may be another's: stop."""
        work = asyncio.ensure_future(self._bus.publish(batch))
        try:
            while not (await asyncio.wait({work}, timeout=_HEARTBEAT_SECONDS))[0]:
                await connection.fetchval("SELECT 1", timeout=3)
            return work.result()
        except BusUnavailable:
            return Published(failed_partitions={outgoing.partition for outgoing in batch})
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})

    def _blocked(self) -> list[int]:
        now = asyncio.get_running_loop().time()
        return [partition for partition, (until, _) in self._backoff.items() if until > now]

    def _note(self, published: Published, rows: list[asyncpg.Record]) -> None:
        """Let failed partitions wait, twice as long each time up to 10 s; the whole partition waits, so keys keep their order."""
        now = asyncio.get_running_loop().time()
        for partition in {row["partition"] for row in rows} - published.failed_partitions:
            self._backoff.pop(partition, None)
        for partition in published.failed_partitions:
            _, last = self._backoff.get(partition, (0.0, 0.1))
            self._backoff[partition] = (now + last, min(last * 2, 10.0))
        self._metrics.relayed.inc(len(published.taken))
        if published.failed_partitions:
            self._metrics.relay_failures.inc(len(published.failed_partitions))
            self._log.warning("relay.partitions_failed", count=len(published.failed_partitions))

    async def _park(self, connection: Any, row: asyncpg.Record, why: str) -> None:  # Any: asyncpg's generic
        self._log.error("relay.unpublishable", event_id=str(row["event_id"]), error_class=why)
        await connection.execute(
            """
            INSERT INTO platform.parked
                (consumer, topic, partition, "offset", event_id, key, blocks_key, headers, value, reason, error_class)
            VALUES ('relay', $1, $2, $3, $4, $5, false, $6::jsonb, $7, 'unpublishable', $8)
            ON CONFLICT (consumer, topic, partition, "offset") DO UPDATE
            SET state = 'parked', attempts = parked.attempts + 1, headers = EXCLUDED.headers, error_class = EXCLUDED.error_class,
                settled_at = NULL, settled_by = NULL
            """,
            row["topic"], row["partition"], row["seq"], row["event_id"], row["key"],
            parking.kept(outgoing_of(row, source=self._source).headers), row["data"], why,
        )  # fmt: skip

    async def _woken(self, seconds: float) -> bool:
        if self._backoff:
            seconds = min(seconds, 0.1)
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return False
        self._wake.clear()
        return True


async def _close(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    try:
        await connection.close(timeout=2)
    except _AWAY:
        connection.terminate()
