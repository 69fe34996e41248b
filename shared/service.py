"""One service as one thing to run: its HTTP app, database, relay, consumer, timers and workers under one lifespan."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fastapi import APIRouter
from sqlalchemy import text

from shared import telemetry
from shared.bus import Bus
from shared.clock import AcceleratedClock, Clock
from shared.db import Database
from shared.events.registry import Event, registry
from shared.inbox import Handler, Inbox
from shared.outbox import Relay
from shared.security.tokens import JwksSource
from shared.settings import ServiceSettings
from shared.timers import TimerHandler, Timers

Worker = Callable[[asyncio.Event], Coroutine[None, None, None]]
_GAUGES_SECONDS = 5.0
_CLOCK_SKEW_SECONDS = 2.0
_STOP_SECONDS = 20.0


@dataclass
class Service:
    """The parts of a service, wired by its ``app.build``. ``broken`` is set when a loop has ended by itself."""

    name: str
    settings: ServiceSettings
    database: Database
    bus: Bus
    clock: Clock
    metrics: telemetry.Metrics
    routers: Sequence[APIRouter]
    subscriptions: Mapping[type[Event], Handler] = field(default_factory=dict)
    timers: Mapping[str, TimerHandler] = field(default_factory=dict)
    workers: Mapping[str, Worker] = field(default_factory=dict)
    jwks: JwksSource | None = None
    """Keys that verify access tokens; None to fetch them from intake."""

    def __post_init__(self) -> None:
        self.log = telemetry.logger("service", service=self.name)
        self.relay = Relay(self.database.url, self.bus, service=self.name, metrics=self.metrics)
        self.database.on_commit.append(self.relay.wake)
        self.inbox: Inbox | None = None
        if self.subscriptions:
            self.inbox = Inbox(self.database, consumer=self.name, registry=registry, subscriptions=self.subscriptions, metrics=self.metrics)
            self.bus.subscribe(self.inbox)
        self.firing = Timers(self.database, self.clock, self.timers, self.metrics)
        self.stopping = False
        self.broken = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run everything that is not a request; on leaving, stop it within 20 s. Nothing depends on the stop being clean."""
        stop = asyncio.Event()
        loops: dict[str, Coroutine[None, None, None]] = {"relay": self.relay.run(stop), "gauges": self._gauges(stop)}
        if self.inbox is not None:
            loops["consumer"] = self.bus.consume(self.inbox, stop)
        if self.timers:
            # An accelerated day passes many simulated minutes in a real second.
            poll_seconds = 0.1 if isinstance(self.clock, AcceleratedClock) else 1.0
            loops["timers"] = self.firing.run(stop, poll_seconds=poll_seconds)
        loops |= {name: worker(stop) for name, worker in self.workers.items()}
        tasks = {asyncio.create_task(loop): name for name, loop in loops.items()}
        watch = asyncio.create_task(self._watch(tasks, stop))
        try:
            yield
        finally:
            self.stopping = True
            stop.set()
            watch.cancel()
            _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=2)
            await self.database.close()

    async def _watch(self, tasks: "Mapping[asyncio.Task[None], str]", stop: asyncio.Event) -> None:
        """A loop that ends by itself is a defect: say so and end the process, so that its supervisor starts it afresh."""
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = task.exception() if not task.cancelled() else None
            place = telemetry.place_of(error) if error else None
            self.log.critical("service.loop_ended", reason=tasks[task], error_class=type(error).__name__, error_place=place)
        if not stop.is_set():
            self.broken.set()

    async def ready(self) -> list[str]:
        """Why this service should get no requests now; empty when it should."""
        if self.stopping:
            return ["stopping"]
        try:
            async with asyncio.timeout(3), self.database.transaction() as db:
                database_now = (await db.execute(text("SELECT clock_timestamp()"))).scalar_one()
        except Exception:  # noqa: BLE001 - whatever it is, the database does not answer
            return ["database-away"]
        skew = abs((datetime.now(UTC) - database_now).total_seconds())
        return ["clock-skew"] if skew > _CLOCK_SKEW_SECONDS else []

    async def _gauges(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._measure()
            except Exception as error:  # noqa: BLE001 - measuring must not end the service
                self.metrics.worker_failures.labels("gauges").inc()
                self.log.warning("service.not_measured", error_class=type(error).__name__)
            try:
                await asyncio.wait_for(stop.wait(), _GAUGES_SECONDS)
            except TimeoutError:
                continue

    async def _measure(self) -> None:
        async with self.database.transaction() as db:
            row = (await db.execute(_BACKLOG, {"consumer": self.name, "now": self.clock.now()})).one()
        self.metrics.outbox_pending.set(row.pending)
        self.metrics.outbox_oldest_seconds.set(row.oldest)
        self.metrics.parked_open.set(row.parked)
        self.metrics.parked_oldest_seconds.set(row.parked_oldest)
        self.metrics.timers_oldest_seconds.set(row.timers_late)
        if self.inbox is not None:
            self.metrics.consumer_lag.set(await self.bus.lag(self.inbox))


_BACKLOG = text(
    """
    SELECT (SELECT count(*) FROM platform.outbox_pending) AS pending,
           (SELECT coalesce(extract(epoch FROM now() - min(l.recorded_at)), 0)
            FROM (SELECT seq FROM platform.outbox_pending ORDER BY seq LIMIT 1) p JOIN platform.event_log l USING (seq)) AS oldest,
           (SELECT count(*) FROM platform.parked WHERE state = 'parked' AND consumer IN (:consumer, 'relay')) AS parked,
           (SELECT coalesce(extract(epoch FROM now() - min(parked_at)), 0) FROM platform.parked
                WHERE state = 'parked' AND consumer IN (:consumer, 'relay')) AS parked_oldest,
           (SELECT coalesce(greatest(extract(epoch FROM CAST(:now AS timestamptz) - min(due_at)), 0), 0)
            FROM platform.timer WHERE state = 'armed') AS timers_late
    """
)
