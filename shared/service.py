"""One service as one thing to run: its HTTP app, database, relay, consumer, timers and workers under one lifespan."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter
from sqlalchemy import text

from shared import telemetry
from shared.backlogs import BusBacklog, DatabaseBacklog
from shared.bus import ALARMS, Bus
from shared.clock import AcceleratedClock, Clock
from shared.db import Database
from shared.dispatch import Handler
from shared.draining import Draining
from shared.events.registry import Event, registry
from shared.inbox import Inbox
from shared.outbox import Relay
from shared.parked_reasons import OF_A_CONSUMER
from shared.reading import Bounds
from shared.sampling import Part, Sampling
from shared.security.tokens import JwksSource
from shared.settings import ServiceSettings
from shared.timers import TimerHandler, Timers

Worker = Callable[[asyncio.Event], Coroutine[None, None, None]]
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
    samples: Mapping[str, Part] = field(default_factory=dict)
    """What of the service's own is measured besides its backlogs, by name."""
    beginnings: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    """What must have been done before requests are answered: whether it is still to be done, by the reason that ``ready`` gives."""
    records: Mapping[str, str] = field(default_factory=dict)
    """Which table says whose record an id in an address is, by its name there."""
    jwks: JwksSource | None = None
    """Keys that verify access tokens; None to fetch them from intake."""

    def __post_init__(self) -> None:
        self.log = telemetry.logger("service", service=self.name)
        self.relay = Relay(self.database.url, self.bus, service=self.name, metrics=self.metrics)
        self.database.on_commit.append(self.relay.wake)
        self.inbox: Inbox | None = None
        if self.subscriptions:
            self.inbox = Inbox(
                self.database,
                consumer=self.name,
                registry=registry,
                subscriptions=self.subscriptions,
                metrics=self.metrics,
                bounds=self._bounds(),
            )
            self.bus.subscribe(self.inbox)
        self.firing = Timers(self.database, self.clock, self.timers, self.metrics)
        self.sampling = Sampling(self.metrics, self._measured())
        self.stopping = False
        self.broken = asyncio.Event()

    def _bounds(self) -> Bounds:
        ahead, behind = timedelta(hours=self.settings.event_ahead_hours), timedelta(days=self.settings.event_behind_days)
        return Bounds(self.clock, ahead, behind, self.settings.events_of_a_key_in_a_minute)

    def _measured(self) -> Mapping[str, Part]:
        """What is measured, and the counters that an alert looks at, at zero: a counter that appears with its first count has no rise."""
        consumers = [self.inbox.consumer] if self.inbox is not None else []
        backlog = DatabaseBacklog(self.database, self.clock, self.metrics, consumers=consumers, kinds=self.timers)
        parts: dict[str, Part] = {"database": backlog.measure, **self.samples}
        self.metrics.pool(self.database.pool_size, self.database.connections_in_use)
        for worker in ("sampling", *self.workers, *(("timers", "timer") if self.timers else ())):
            self.metrics.worker_failures.labels(worker)
        for kind in self.timers:
            self.metrics.timers_fired.labels(kind)
        if self.inbox is not None:
            parts["bus"] = BusBacklog(self.bus, self.inbox, self.metrics).measure
            for reason in ALARMS:
                self.metrics.consumer_alarms.labels(reason)
            for reason in OF_A_CONSUMER:
                self.metrics.parked.labels(reason)
        return parts

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run everything that is not a request; on leaving, stop it within 20 s. Nothing depends on the stop being clean."""
        stop = asyncio.Event()
        loops: dict[str, Coroutine[None, None, None]] = {"relay": self.relay.run(stop), "sampling": self.sampling.run(stop)}
        if self.inbox is not None:
            loops["consumer"] = self.bus.consume(self.inbox, stop)
            loops["draining"] = Draining(self.inbox).run(stop)
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
        to_be_done = [reason for reason, waits in self.beginnings.items() if waits()]
        return ["clock-skew", *to_be_done] if skew > _CLOCK_SKEW_SECONDS else to_be_done
