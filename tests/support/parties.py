"""A service that tells and services that listen, as small as can be: what the plumbing's own tests put at the ends of a bus.

What a listener did goes into a table that has no unique key and is written in the handler's transaction, so doing it twice shows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Headers, cloud_event_headers, partition_of
from shared.db import Database
from shared.errors import Unavailable
from shared.events.registry import Delivery, Event, EventType, Registry
from shared.outbox import emit
from shared.telemetry import Metrics

CLINIC = UUID(int=1)
OTHER_CLINIC = UUID(int=2)
MORNING = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


class Utterance(Event):
    """Something about a conversation; ``number`` counts what was said in it."""

    conversation_id: UUID
    number: int
    text: str = ""


class Said(Utterance): ...


class Asked(Utterance): ...


class Heard(Utterance):
    """What the receiver tells in its turn."""


events = Registry()
for _class, _producer, _name in ((Said, "sender", "speech.said"), (Asked, "sender", "speech.asked"), (Heard, "receiver", "speech.heard")):
    _class.type = EventType(_producer, _name, 1, "Conversation", "conversation_id", "conversation_id")
    events.add(_class)

Reaction = Callable[[AsyncSession, Delivery[Utterance]], Awaitable[None]]


class Effect(NamedTuple):
    """One line of what a listener did."""

    kind: str
    key: str
    number: int
    sequence: int
    event_id: UUID


class Party:
    """A service with its database. ``admin`` is the superuser's connection, for what a test may see and no service."""

    def __init__(self, name: str, database: Database, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.name = name
        self.database = database
        self.admin = admin
        self.metrics = Metrics(name)
        self._cutting = asyncio.Lock()

    def count(self, metric: str, **labels: str) -> float:
        """The value of one of this service's counters."""
        return self.metrics.registry.get_sample_value(f"afterglow_{metric}_total", labels or None) or 0.0

    async def pending(self) -> int:
        """Events not yet marked as taken by the bus."""
        return int(await self.admin.fetchval("SELECT count(*) FROM platform.outbox_pending"))

    async def logged(self) -> list[asyncpg.Record]:
        """Everything that this service has ever told."""
        return await self.admin.fetch("SELECT * FROM platform.event_log ORDER BY seq")

    def alarms(self) -> dict[str, float]:
        """How often a person was told about a partition, by reason."""
        samples = [sample for family in self.metrics.consumer_alarms.collect() for sample in family.samples]
        return {sample.labels["reason"]: sample.value for sample in samples if sample.name.endswith("_total")}

    async def refused_connections(self) -> bool:
        """Whether the service tries in vain to reach its database, which is then wholly cut off."""
        async with self._cutting:
            try:
                async with self.database.transaction() as db:
                    await db.execute(text("SELECT 1"))
            except Unavailable:
                return True
            return False

    async def cut_off(self) -> None:
        """Take the database away: every connection ends and none is accepted."""
        async with self._cutting:
            await self.admin.execute(f"ALTER DATABASE {await self._database_name()} CONNECTION LIMIT 0")
            await self.admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = $1", self.name
            )

    async def give_back(self) -> None:
        """Let the service in again, with fresh connections."""
        await self.database.engine.dispose()
        await self.admin.execute(f"ALTER DATABASE {await self._database_name()} CONNECTION LIMIT -1")

    async def _database_name(self) -> str:
        return str(await self.admin.fetchval("SELECT current_database()"))


class Sender(Party):
    """Tells."""

    async def last_number(self, conversation: UUID) -> int:
        """How much was said in a conversation."""
        return int(await self.admin.fetchval("SELECT last_number FROM public.conversation WHERE key = $1", conversation))

    async def last_numbers(self) -> dict[str, int]:
        """How much was said, by conversation."""
        rows = await self.admin.fetch("SELECT key, last_number FROM public.conversation")
        return {str(row["key"]): row["last_number"] for row in rows}

    async def relay_in_the_lead(self) -> int | None:
        """The backend that holds the relay's lock."""
        pid: int | None = await self.admin.fetchval(_LEADER)
        return pid

    async def say(self, *conversations: UUID, kind: type[Utterance] = Said, words: str = "", clinic_id: UUID = CLINIC) -> list[int]:
        """Say something in each conversation, in one transaction; returns the numbers."""
        async with self.database.transaction(clinic_id) as db:
            return await self.say_in(db, *conversations, kind=kind, words=words)

    async def say_much(self, conversation: UUID, times: int) -> None:
        """Say something often, in one transaction and two statements."""
        async with self.database.transaction(CLINIC) as db:
            last: int = (await db.execute(_NEXT_NUMBER, {"key": conversation, "by": times})).scalar_one()
            for number in range(last - times + 1, last + 1):
                emit(db, Said(conversation_id=conversation, number=number, occurred_at=MORNING))

    async def say_in(self, db: AsyncSession, *conversations: UUID, kind: type[Utterance] = Said, words: str = "") -> list[int]:
        """The same in a transaction that is the caller's."""
        numbers = []
        for conversation in conversations:
            number: int = (await db.execute(_NEXT_NUMBER, {"key": conversation, "by": 1})).scalar_one()
            emit(db, kind(conversation_id=conversation, number=number, text=words, occurred_at=MORNING))
            numbers.append(number)
        return numbers


async def no_reaction(_db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
    return None


class Receiver(Party):
    """Listens. ``reaction`` is what it does before it notes an event; a test may let it fail, wait or tell."""

    def __init__(self, name: str, database: Database, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
        super().__init__(name, database, admin)
        self.reaction: Reaction = no_reaction
        self.batches: list[list[Effect]] = []

    def recover(self) -> None:
        """Nothing special happens any more."""
        self.reaction = no_reaction

    async def on_utterances(self, db: AsyncSession, deliveries: Sequence[Delivery[Utterance]]) -> None:
        """The handler of every event: react to each, then note all in one statement."""
        batch = [_effect(delivery) for delivery in deliveries]
        self.batches.append(batch)
        for delivery in deliveries:
            await self.reaction(db, delivery)
        await db.execute(_NOTE, [effect._asdict() for effect in batch])

    async def effects(self) -> list[Effect]:
        """What was done and committed, in the order of doing."""
        rows = await self.admin.fetch("SELECT kind, key, number, sequence, event_id FROM public.effect ORDER BY n")
        return [Effect(*row.values()) for row in rows]

    async def story(self, conversation: UUID) -> list[int]:
        """The numbers of one conversation, in the order of doing."""
        return [effect.number for effect in await self.effects() if effect.key == str(conversation)]

    async def done(self) -> int:
        """How many effects there are."""
        return int(await self.admin.fetchval("SELECT count(*) FROM public.effect"))

    async def parked(self) -> list[asyncpg.Record]:
        """What is parked now, oldest first."""
        return await self.admin.fetch("SELECT * FROM platform.parked WHERE state = 'parked' ORDER BY parked_id")

    async def offsets(self) -> dict[tuple[str, int], int]:
        """The stored offsets, by topic and partition."""
        rows = await self.admin.fetch("SELECT topic, partition, next_offset FROM platform.consumer_offset WHERE partition >= 0")
        return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}


def _effect(delivery: Delivery[Utterance]) -> Effect:
    event = delivery.event
    return Effect(type(event).__name__, event.key, event.number, delivery.sequence, delivery.event_id)


class Raw(NamedTuple):
    """A record as a defective producer might have written it."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def raw(
    event: Utterance,
    *,
    event_id: UUID | None = None,
    clinic_id: UUID = CLINIC,
    type_name: str | None = None,
    sequence: int = 1,
    time: datetime | None = None,
    hops: int = 0,
) -> Raw:
    """A well-formed record of an event."""
    headers = cloud_event_headers(
        event_id=event_id or uuid4(),
        type_name=type_name or event.type.full_name,
        source=f"/{event.type.producer}",
        subject=event.subject,
        occurred_at=time or event.occurred_at,
        key=event.key,
        sequence=sequence,
        clinic_id=clinic_id,
        correlation_id=None,
        causation_id=None,
        traceparent=None,
        hops=hops,
    )
    return Raw(partition_of(event.key), event.key.encode(), event.model_dump_json().encode(), headers)


def said(conversation: UUID, number: int = 1) -> Said:
    """Something said, for who needs no more than an event."""
    return Said(conversation_id=conversation, number=number, occurred_at=MORNING)


OF_A_SENDER = """
    CREATE TABLE public.conversation (key uuid PRIMARY KEY, last_number int NOT NULL);
    GRANT SELECT, INSERT, UPDATE ON public.conversation TO PUBLIC;
"""
OF_A_RECEIVER = """
    CREATE TABLE public.effect (
        n bigint GENERATED ALWAYS AS IDENTITY, kind text, key text, number int, sequence bigint, event_id uuid
    );
    GRANT SELECT, INSERT ON public.effect TO PUBLIC;
"""
_LEADER = """
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_NEXT_NUMBER = text(
    """
    INSERT INTO public.conversation AS c (key, last_number) VALUES (:key, :by)
    ON CONFLICT (key) DO UPDATE SET last_number = c.last_number + :by RETURNING last_number
    """
)
_NOTE = text("INSERT INTO public.effect (kind, key, number, sequence, event_id) VALUES (:kind, :key, :number, :sequence, :event_id)")
