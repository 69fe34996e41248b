"""Bugs that were planted, each one caught: the suite's checks would notice if a guard of the pipeline were taken out.

Every mutant takes one guard away and is hit by one fault at the place that the guard is for. Whether the fault really struck there is
asserted, and the product as it is comes whole out of the same fault.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Fenced, Outgoing, Position, Published, Record, partition_of
from shared.inbox import Inbox
from shared.kafka import KafkaBus
from shared.kafka.consuming import Consuming
from shared.kafka.partition import Partition
from shared.outbox import Relay
from shared.reading import Chunk, Readable
from shared.turns import Part
from tests.support.parties import raw, said
from tests.support.pipeline import TOPIC, HastyInbox, KafkaPipeline, LocalPipeline, Pipeline, PlantedCrash
from tests.support.verdict import WHOLE, Verdict, verdict_on
from tests.support.waiting import eventually

needs_kafka = [pytest.mark.kafka, pytest.mark.timeout(300)]


# No inbox: what the producer's side repeats is done again.


class WithoutInbox(HastyInbox):
    async def _claim(self, db: AsyncSession, chunk: Chunk) -> list[Readable]:
        return chunk.readable


class DiesBeforeMarking(Relay):
    async def _mark(self, connection: Any, rows: Any, published: Published) -> None:  # Any: of the relay's own
        raise PlantedCrash


@pytest.mark.parametrize(("inbox_type", "expected"), [(HastyInbox, WHOLE), (WithoutInbox, Verdict(doubled=1))])
async def test_a_missing_inbox_is_caught(pipeline: Pipeline, inbox_type: type[Inbox], expected: Verdict) -> None:
    async with pipeline.process(relay_type=DiesBeforeMarking, inbox_type=inbox_type):
        await pipeline.sender.say(uuid4())
        await eventually(pipeline.receiver.done)
    assert await pipeline.sender.pending() == 1, "the relay did not die between acknowledgement and mark"
    async with pipeline.process(inbox_type=inbox_type):
        await pipeline.settled()
    assert await verdict_on(pipeline.sender, pipeline.receiver) == expected


# No compare-and-set: a member that was overtaken without knowing it does the work again. Inbox and offset each prevent that alone.


class WithoutCompareAndSet(HastyInbox):
    async def _advance(self, db: AsyncSession, records: Sequence[Record], partition: Any, expected: Any) -> None:  # Any: handed through
        stored = await self.position(*partition)
        await super()._advance(db, records, partition, stored.next_offset if stored else expected)


class WithoutEither(WithoutCompareAndSet, WithoutInbox): ...


@pytest.mark.parametrize(
    ("inbox_type", "fenced", "times"),
    [(HastyInbox, True, 1), (WithoutInbox, True, 1), (WithoutCompareAndSet, False, 1), (WithoutEither, False, 2)],
)
async def test_a_missing_compare_and_set_is_caught(local: LocalPipeline, inbox_type: type[Inbox], fenced: bool, times: int) -> None:
    place = (TOPIC, 0)
    written = raw(said(uuid4()))
    batch = [Record(TOPIC, 0, 0, written.key, written.value, written.headers)]
    owner, zombie = (local.inbox(local.receiver, inbox_type) for _ in range(2))
    await owner.start_at(*place, Position(0))
    await owner.handle(batch, partition=place, expected=0)
    stopped = False
    try:
        await zombie.handle(batch, partition=place, expected=0)
    except Fenced:
        stopped = True
    assert stopped == fenced
    assert await local.receiver.done() == times


# Marked before the bus has acknowledged: who dies in between has lost the event.


class MarksFirst(Relay):
    async def _publish_while_trusted(self, connection: Any, batch: list[Outgoing]) -> Published:  # Any: asyncpg's generic
        await connection.execute("DELETE FROM platform.outbox_pending WHERE seq = ANY($1::bigint[])", [outgoing.seq for outgoing in batch])
        raise PlantedCrash


class DiesBeforePublishing(Relay):
    async def _publish_while_trusted(self, connection: Any, batch: list[Outgoing]) -> Published:  # Any: as above
        raise PlantedCrash


@pytest.mark.parametrize(("relay_type", "pending", "expected"), [(DiesBeforePublishing, 1, WHOLE), (MarksFirst, 0, Verdict(lost=1))])
async def test_marking_before_the_acknowledgement_is_caught(
    pipeline: Pipeline, relay_type: type[Relay], pending: int, expected: Verdict
) -> None:
    async with pipeline.process(relay_type=relay_type) as doomed:
        await pipeline.sender.say(uuid4())
        await asyncio.wait([doomed.loops["relay-0"]])
    assert (await pipeline.sender.pending(), await pipeline.receiver.done()) == (pending, 0)
    async with pipeline.process():
        await pipeline.sender.say(uuid4())
        await pipeline.settled()
        await eventually(pipeline.receiver.done)
    assert await verdict_on(pipeline.sender, pipeline.receiver) == expected


# The offset before the effects: who dies in between has skipped the event.


class DiesAtItsFirstChunk(HastyInbox):
    """The task ends as a killed one does: nothing in it runs any further. The next process lives."""

    dying: ClassVar[bool] = True

    def die(self) -> None:
        if type(self).dying:
            type(self).dying = False
            raise asyncio.CancelledError


class EffectsAndOffsetTogether(DiesAtItsFirstChunk):
    async def _advance(self, db: AsyncSession, records: Sequence[Record], partition: Any, expected: Any) -> None:  # Any: handed through
        self.die()
        await super()._advance(db, records, partition, expected)


class OffsetFirst(DiesAtItsFirstChunk):
    async def _transaction(
        self, chunk: Chunk, records: Sequence[Record], partition: Any, expected: Any, company: Sequence[Part] = ()
    ) -> None:  # Any: handed through
        async with self.database.transaction() as db:
            await self._advance(db, records, partition, expected)
            for part in company:
                await self._advance(db, part.records, part.place, part.expected)
        self.die()
        await super()._transaction(chunk, records, None, None)


@pytest.mark.parametrize(
    ("inbox_type", "moved", "expected"),
    [
        pytest.param(EffectsAndOffsetTogether, False, WHOLE, marks=needs_kafka),
        pytest.param(OffsetFirst, True, Verdict(lost=1), marks=needs_kafka),
    ],
)
async def test_an_offset_before_the_effects_is_caught(
    kafka: KafkaPipeline, inbox_type: type[DiesAtItsFirstChunk], moved: bool, expected: Verdict
) -> None:
    inbox_type.dying = True
    conversation = uuid4()
    async with kafka.process(inbox_type=inbox_type) as doomed:
        await kafka.sender.say(conversation)
        await eventually(lambda: has_died(inbox_type))
        # Its relay has marked what it published: otherwise the next process publishes it again, and the copy makes up for what was skipped.
        await eventually(kafka.sender.pending, lambda left: left == 0)
        await doomed.crash()
    assert await kafka.receiver.done() == 0
    assert (await kafka.receiver.offsets()).get((TOPIC, partition_of(str(conversation)))) == (1 if moved else 0)
    async with kafka.process(inbox_type=inbox_type):
        await kafka.sender.say(conversation)
        await kafka.settled()
    assert await verdict_on(kafka.sender, kafka.receiver) == expected


async def has_died(inbox_type: type[DiesAtItsFirstChunk]) -> bool:
    return not inbox_type.dying


# A fenced partition that is dropped: it still is ours, no rebalance comes, and nobody reads it any more.


class ForgetsItsFirstCommit(HastyInbox):
    forgotten = False

    async def _transaction(self, chunk: Chunk, records: Sequence[Record], *where: Any) -> None:  # Any: handed through
        await super()._transaction(chunk, records, *where)
        if not self.forgotten:
            self.forgotten = True
            raise ConnectionResetError


class DropsWhatIsFenced(Partition):
    async def _heal(self) -> bool:
        return False


class DroppingConsuming(Consuming):
    partition_type = DropsWhatIsFenced


class DroppingBus(KafkaBus):
    consuming_type = DroppingConsuming


@pytest.mark.parametrize(
    ("bus_type", "expected"),
    [pytest.param(KafkaBus, WHOLE, marks=needs_kafka), pytest.param(DroppingBus, Verdict(lost=1), marks=needs_kafka)],
)
async def test_a_fenced_partition_that_is_dropped_is_caught(kafka: KafkaPipeline, bus_type: type[KafkaBus], expected: Verdict) -> None:
    conversation = uuid4()
    neighbour = next(other for other in iter(uuid4, None) if partition_of(str(other)) != partition_of(str(conversation)))
    async with kafka.process(inbox_type=ForgetsItsFirstCommit, bus=bus_type(kafka.settings())) as process:
        await kafka.sender.say(conversation)
        await eventually(kafka.receiver.done)
        await kafka.sender.say(conversation)
        if expected == WHOLE:
            await kafka.settled()
        for number in range(1, 4):
            await kafka.sender.say(neighbour)
            await eventually(lambda: kafka.receiver.story(neighbour), lambda story, number=number: len(story) == number)  # type: ignore[misc]
        inbox = process.inboxes["receiver"]
    assert isinstance(inbox, ForgetsItsFirstCommit)
    assert inbox.forgotten, "the window was not hit"
    assert await verdict_on(kafka.sender, kafka.receiver) == expected
