"""What a service has still to do, as gauges: what waits in its outbox, its car park, its timers, and on the bus.

Counting is bounded: a statement looks at 100,000 rows at most, so that measuring a large backlog does not add to it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from time import time

from sqlalchemy import text

from shared import telemetry
from shared.bus import PARTITIONS, Bus, Subscriber
from shared.clock import Clock
from shared.db import Database
from shared.parked_reasons import OF_A_CONSUMER, OF_THE_RELAY, ParkedReason

RELAY = "relay"
"""Parks what no bus will ever take; in the car park it has the place of a consumer."""


class DatabaseBacklog:
    """What waits in one service's database."""

    def __init__(self, database: Database, clock: Clock, metrics: telemetry.Metrics, *, consumers: Iterable[str], kinds: Iterable[str]):
        """``consumers`` may have parked records, ``kinds`` are those of timers: each is shown, as zero where there is nothing."""
        self._database = database
        self._clock = clock
        self._consumers = [*consumers, RELAY]
        self._kinds = list(kinds)
        self._pending = metrics.snapshot("afterglow_outbox_pending", "Events not yet on the bus, up to 100,000", ("partition",))
        self._oldest = metrics.snapshot("afterglow_outbox_oldest_seconds", "How long an event has waited for the bus", ("partition",))
        self._parked = metrics.snapshot("afterglow_parked_open", "Records parked now, up to 100,000", ("consumer", "reason"))
        self._parked_oldest = metrics.snapshot("afterglow_parked_oldest_seconds", "Age of the oldest parked record", ("consumer", "reason"))
        self._blocked = metrics.snapshot("afterglow_parked_keys_blocked", "Keys that a parked record holds up", ("consumer",))
        self._due = metrics.snapshot("afterglow_timers_due", "Timers whose time has come, up to 100,000", ("timer_kind",))
        self._late = metrics.snapshot("afterglow_timers_oldest_due_seconds", "How late the oldest due timer is", ("timer_kind",))
        self._skew = metrics.gauge("afterglow_clock_skew_seconds", "How far this process's clock is off the database's")

    async def measure(self) -> None:
        """Look once. Raises Unavailable when the database is away."""
        async with self._database.transaction() as db:
            skew = abs((datetime.now(UTC) - (await db.execute(_NOW)).scalar_one()).total_seconds())
            outbox = (await db.execute(_OUTBOX)).all()
            waiting = (await db.execute(_PARKED, {"consumers": self._consumers})).all()
            blocked = (await db.execute(_BLOCKED, {"consumers": self._consumers})).all()
            timers = (await db.execute(_TIMERS, {"now": self._clock.now()})).all()
        self._skew.set(skew)
        partitions = {(str(partition),): 0.0 for partition in range(PARTITIONS)}
        self._pending.replace(partitions | {(str(row.partition),): row.pending for row in outbox})
        self._oldest.replace(partitions | {(str(row.partition),): row.oldest for row in outbox})
        places = {(consumer, reason): 0.0 for consumer in self._consumers for reason in _reasons(consumer)}
        self._parked.replace(places | {(row.consumer, row.reason): row.parked for row in waiting})
        self._parked_oldest.replace(places | {(row.consumer, row.reason): row.oldest for row in waiting})
        self._blocked.replace({(consumer,): 0.0 for consumer in self._consumers} | {(row.consumer,): row.keys for row in blocked})
        kinds = {(kind,): 0.0 for kind in self._kinds}
        self._due.replace(kinds | {(row.kind,): row.due for row in timers})
        self._late.replace(kinds | {(row.kind,): row.late for row in timers})


class BusBacklog:
    """How far one consumer is behind on the bus."""

    def __init__(self, bus: Bus, subscriber: Subscriber, metrics: telemetry.Metrics) -> None:
        self._bus = bus
        self._subscriber = subscriber
        labels = ("consumer", "topic", "partition")
        self._lag = metrics.snapshot("afterglow_consumer_lag", "Records on the bus that are not handled yet", labels)
        self._oldest = metrics.snapshot("afterglow_consumer_oldest_seconds", "Age of the oldest of them, where it is known", labels)
        self._position = metrics.snapshot("afterglow_consumer_position", "The next offset to handle", labels)
        self._held = metrics.snapshot("afterglow_consumer_held", "1 where records are lost and a person must decide", labels)

    async def measure(self) -> None:
        """Look once. Raises BusUnavailable when the bus is away or this process is not a member of its group."""
        now = time()
        lags = {(self._subscriber.consumer, lag.topic, str(lag.partition)): lag for lag in await self._bus.lags(self._subscriber)}
        self._lag.replace({place: lag.records for place, lag in lags.items()})
        self._position.replace({place: lag.position for place, lag in lags.items()})
        self._held.replace({place: lag.held for place, lag in lags.items()})
        ages: dict[tuple[str, ...], float] = {place: 0.0 for place, lag in lags.items() if not lag.records}
        ages |= {place: max(now - lag.oldest_at, 0.0) for place, lag in lags.items() if lag.records and lag.oldest_at is not None}
        self._oldest.replace(ages)


def _reasons(consumer: str) -> tuple[ParkedReason, ...]:
    return OF_THE_RELAY if consumer == RELAY else OF_A_CONSUMER


_NOW = text("SELECT clock_timestamp()")
_OUTBOX = text(
    """
    SELECT partition, count(*) AS pending, extract(epoch FROM clock_timestamp() - min(pending_since))::float8 AS oldest
    FROM (SELECT partition, pending_since FROM platform.outbox_pending ORDER BY seq LIMIT 100000) head GROUP BY partition
    """
)
_PARKED = text(
    """
    SELECT consumer, reason, count(*) AS parked, extract(epoch FROM clock_timestamp() - min(parked_at))::float8 AS oldest
    FROM (SELECT consumer, reason, parked_at FROM platform.parked
          WHERE state = 'parked' AND consumer = ANY(CAST(:consumers AS text[])) ORDER BY parked_id LIMIT 100000) head
    GROUP BY consumer, reason
    """
)
_BLOCKED = text(
    """
    SELECT consumer, count(DISTINCT key) AS keys
    FROM (SELECT consumer, key FROM platform.parked
          WHERE state = 'parked' AND blocks_key AND consumer = ANY(CAST(:consumers AS text[])) LIMIT 100000) head
    GROUP BY consumer
    """
)
_TIMERS = text(
    """
    SELECT kind, count(*) AS due, extract(epoch FROM CAST(:now AS timestamptz) - min(due_at))::float8 AS late
    FROM (SELECT kind, due_at FROM platform.timer WHERE state = 'armed' AND due_at <= :now ORDER BY due_at LIMIT 100000) head
    GROUP BY kind
    """
)
