"""The whole way of an event, over either bus: databases, relay, bus, inbox. One suite runs over both; ``Features`` tells them apart."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Self, cast
from uuid import uuid4

import asyncpg
from sqlalchemy import make_url

from shared.bus import Bus, Outgoing
from shared.db import Database
from shared.dispatch import Handler
from shared.events.registry import Event
from shared.inbox import Inbox
from shared.kafka import KafkaBus, KafkaSettings
from shared.local import LocalBus
from shared.outbox import Relay
from tests.support.broker import Broker
from tests.support.databases import Databases
from tests.support.parties import OF_A_RECEIVER, OF_A_SENDER, Asked, Heard, Party, Raw, Receiver, Said, Sender, events
from tests.support.waiting import eventually

TOPIC = "sender.events"
_STOP_SECONDS = 25.0


@dataclass(frozen=True)
class Features:
    """What a bus has that the other may not have."""

    partitions: int
    several_processes: bool
    rebalance: bool


class Process:
    """What an operating system's process would hold: a bus, relays that feed it and consumers that it feeds."""

    def __init__(self, bus: Bus, relays: Sequence[Relay], inboxes: Sequence[Inbox]) -> None:
        self.bus = bus
        self.relays = list(relays)
        self.inboxes = {inbox.consumer: inbox for inbox in inboxes}
        self._stop = asyncio.Event()
        self.loops: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Start all loops."""
        for number, relay in enumerate(self.relays):
            self.loops[f"relay-{number}"] = asyncio.create_task(relay.run(self._stop))
        for inbox in self.inboxes.values():
            self.loops[f"consumer-{inbox.consumer}"] = asyncio.create_task(self.bus.consume(inbox, self._stop))

    async def stop(self) -> None:
        """Drain, as at SIGTERM. A loop that had died of a planted crash stays dead; any other error is a failure."""
        self._stop.set()
        _, late = await asyncio.wait(self.loops.values(), timeout=_STOP_SECONDS)
        for loop in late:
            loop.cancel()
        await self.bus.close()
        assert not late, "a loop did not stop in time"
        for loop in self.loops.values():
            with suppress(PlantedCrash, asyncio.CancelledError):
                loop.result()

    async def crash(self) -> None:
        """End without draining: whatever is under way is abandoned where it stands."""
        for loop in self.loops.values():
            loop.cancel()
        await asyncio.wait(self.loops.values())
        await self.bus.close()


class HastyInbox(Inbox):
    """Tries as often as any, without the pauses."""

    TRIES_SECONDS = (0.0,) * len(Inbox.TRIES_SECONDS)
    SLOW_TRIES_SECONDS = (0.0,) * len(Inbox.SLOW_TRIES_SECONDS)


class PlantedCrash(Exception):
    """A test ends a loop here, as a kill would."""


class Pipeline(ABC):
    """A sender, a receiver, a second one, and the bus between them."""

    features: Features

    def __init__(self, parties: "Parties") -> None:
        self._parties = parties

    async def __aenter__(self) -> Self:
        self.sender = await self._parties.sender()
        self.receiver = await self.another_receiver("receiver")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._parties.leave()

    async def another_receiver(self, name: str) -> Receiver:
        """A listening service with a fresh database."""
        return await self._parties.receiver(name)

    @abstractmethod
    def new_bus(self) -> Bus:
        """A bus as a fresh process would make it."""

    @abstractmethod
    async def before_start(self, bus: Bus) -> None:
        """What a process does before its relays run."""

    @abstractmethod
    async def inject(self, process: Process, *records: Raw) -> None:
        """Put records on the sender's topic past its outbox."""

    @abstractmethod
    async def unhandled(self, consumer: Receiver) -> int:
        """The sender's events that this consumer has not handled yet, wherever they are; from the stores, never from the bus."""

    @asynccontextmanager
    async def process(
        self,
        *,
        relays: Sequence[Party] | None = None,
        consumers: Sequence[Receiver] | None = None,
        relay_type: type[Relay] = Relay,
        inbox_type: type[Inbox] | None = None,
        bus: Bus | None = None,
    ) -> AsyncIterator[Process]:
        """Run a process; without arguments the sender's relay and the receiver's consumer. It drains at the end."""
        bus = bus or self.new_bus()
        telling = [self.sender] if relays is None else relays
        running = Process(
            bus,
            [relay_type(party.database.url, bus, service=party.name, metrics=party.metrics) for party in telling],
            [self.inbox(party, inbox_type or HastyInbox) for party in ([self.receiver] if consumers is None else consumers)],
        )
        for inbox in running.inboxes.values():
            bus.subscribe(inbox)
        await self.before_start(bus)
        wakes = [(party.database.on_commit, relay.wake) for party, relay in zip(telling, running.relays, strict=True)]
        for on_commit, wake in wakes:
            on_commit.append(wake)
        running.start()
        try:
            yield running
        finally:
            await running.stop()
            for on_commit, wake in wakes:
                on_commit.remove(wake)

    def inbox(self, party: Receiver, inbox_type: type[Inbox]) -> Inbox:
        """A receiver's inbox; the first receiver does not listen to itself."""
        kinds = (Said, Asked) if party is self.receiver else (Said, Asked, Heard)
        subscriptions: dict[type[Event], Handler] = dict.fromkeys(kinds, party.on_utterances)
        return inbox_type(party.database, consumer=party.name, registry=events, subscriptions=subscriptions, metrics=party.metrics)

    async def settled(self, *consumers: Receiver, within: float = 30.0) -> None:
        """Wait until everything that was told is handled."""
        for consumer in consumers or (self.receiver,):
            await eventually(partial(self.unhandled, consumer), lambda left: left == 0, within=within)


class LocalPipeline(Pipeline):
    """Over the bus of one process."""

    features = Features(partitions=1, several_processes=False, rebalance=False)
    _offsets = count(1_000_000)

    def new_bus(self) -> LocalBus:
        return LocalBus()

    async def before_start(self, bus: Bus) -> None:
        assert isinstance(bus, LocalBus)
        await bus.catch_up(self.sender.database, TOPIC)
        await bus.catch_up(self.receiver.database, "receiver.events")

    async def inject(self, process: Process, *records: Raw) -> None:
        batch = [Outgoing(next(self._offsets), TOPIC, r.partition, cast(bytes, r.key), cast(bytes, r.value), r.headers) for r in records]
        published = await process.bus.publish(batch)
        assert published.taken == [outgoing.seq for outgoing in batch]

    async def unhandled(self, consumer: Receiver) -> int:
        return await self.sender.pending()


class KafkaPipeline(Pipeline):
    """Over a real Kafka, in a namespace of its own."""

    features = Features(partitions=12, several_processes=True, rebalance=True)

    def __init__(self, parties: "Parties", broker: Broker) -> None:
        super().__init__(parties)
        self.broker = broker
        self.namespace = f"t{uuid4().hex[:10]}."
        self.topic = self.namespace + TOPIC

    async def __aenter__(self) -> Self:
        await self.broker.create_topics(self.topic, f"{self.namespace}receiver.events")
        return await super().__aenter__()

    def settings(self) -> KafkaSettings:
        """As a service of this installation has them; the shortest session that the broker allows."""
        return KafkaSettings(self.broker.bootstrap, client_id="test", namespace=self.namespace, session_timeout_ms=6000)

    def new_bus(self) -> KafkaBus:
        return KafkaBus(self.settings())

    async def before_start(self, bus: Bus) -> None:
        return None

    async def inject(self, process: Process, *records: Raw) -> None:
        for record in records:
            await self.broker.send(self.topic, record.partition, [(record.key, record.value, record.headers)])

    async def unhandled(self, consumer: Receiver) -> int:
        pending = await self.sender.pending()
        ends = await self.broker.end_offsets(self.topic)
        done = await consumer.offsets()
        return pending + sum(end - done.get((TOPIC, partition), 0) for partition, end in ends.items())


class Parties:
    """Makes services, each with a fresh database that is dropped at the end."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._stack = AsyncExitStack()

    async def sender(self) -> Sender:
        return Sender("sender", *await self._database("sender", OF_A_SENDER))

    async def receiver(self, name: str) -> Receiver:
        return Receiver(name, *await self._database(name, OF_A_RECEIVER))

    async def leave(self) -> None:
        await self._stack.aclose()

    async def _database(self, name: str, tables: str) -> tuple[Database, "asyncpg.Connection[asyncpg.Record]"]:
        url = await self._stack.enter_async_context(self._databases.clone(name))
        admin = await self._databases.server.admin(database=str(make_url(url).database))
        self._stack.push_async_callback(admin.close)
        await admin.execute(tables)
        database = Database(url, name=name)
        self._stack.push_async_callback(database.close)
        return database, admin
