"""Kafka only: the offset in our database is the authority, and a log that does not fit it is noticed."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Fenced, Position, partition_of
from shared.events.registry import Delivery
from shared.local import replay
from tests.support.parties import Utterance, raw, said
from tests.support.pipeline import TOPIC, HastyInbox, KafkaPipeline, Process
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


class Overtaken(HastyInbox):
    """While it is about to handle a chunk, another member that has taken its partition over handles it. Happens five times."""

    overtaken = 0
    fenced = 0

    async def _transaction(self, chunk: Any, records: Any, partition: Any, expected: Any, company: Any = ()) -> None:  # Any: handed through
        if self.overtaken < 5:
            self.overtaken += 1
            other = HastyInbox(
                self.database, consumer=self.consumer, registry=self._registry, subscriptions=self._handlers, metrics=self._metrics
            )
            await other.handle(records, partition=partition, expected=expected)
        try:
            await super()._transaction(chunk, records, partition, expected, company)
        except Fenced:
            self.fenced += 1
            raise


async def test_a_member_that_was_overtaken_finds_its_place_again(kafka: KafkaPipeline) -> None:
    conversation = uuid4()
    async with kafka.process(inbox_type=Overtaken) as process:
        for number in range(1, 11):
            await kafka.sender.say(conversation)
            await eventually(kafka.receiver.done, lambda done, number=number: done >= number)  # type: ignore[misc]
        await kafka.settled()
        inbox = process.inboxes["receiver"]
    assert isinstance(inbox, Overtaken)
    assert (inbox.overtaken, inbox.fenced) == (5, 5)
    assert await kafka.receiver.story(conversation) == list(range(1, 11))


async def test_an_offset_that_was_set_back_is_followed_without_effect(kafka: KafkaPipeline) -> None:
    conversation = uuid4()
    async with kafka.process():
        await kafka.sender.say_much(conversation, 10)
        await kafka.settled()
        await kafka.receiver.admin.execute(
            "UPDATE platform.consumer_offset SET next_offset = 3, last_event_id = NULL WHERE next_offset = 10"
        )
        await kafka.sender.say(conversation)
        await kafka.settled()
    assert await kafka.receiver.story(conversation) == list(range(1, 12))
    assert kafka.receiver.count("inbox_duplicates") == 7


async def test_without_stored_offsets_reading_starts_at_the_beginning_whatever_kafka_remembers(kafka: KafkaPipeline) -> None:
    conversation = uuid4()
    async with kafka.process():
        await kafka.sender.say_much(conversation, 5)
        await kafka.settled()
        hint = {partition_of(str(conversation)): 5}
        await eventually(
            lambda: kafka.broker.committed(f"{kafka.namespace}receiver", kafka.topic), lambda offsets: hint.items() <= offsets.items()
        )
    await kafka.receiver.admin.execute("TRUNCATE platform.consumer_offset, platform.inbox, public.effect")
    async with kafka.process():
        await kafka.settled()
    assert await kafka.receiver.story(conversation) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("told_anew", [2, 5, 9], ids=["a shorter log", "a log as long", "a longer log"])
async def test_a_topic_that_was_lost_and_made_anew_is_read_from_its_beginning(kafka: KafkaPipeline, told_anew: int) -> None:
    conversation = uuid4()
    async with kafka.process():
        await kafka.sender.say_much(conversation, 5)
        await kafka.settled()
    await kafka.broker.delete_topic(kafka.topic)
    await kafka.broker.create_topics(kafka.topic)
    async with kafka.process(consumers=[]):
        await kafka.sender.say_much(conversation, told_anew)
        await eventually(kafka.sender.pending, lambda pending: pending == 0)
    async with kafka.process():
        await eventually(kafka.receiver.done, lambda done: done >= 5 + told_anew)
        await kafka.settled()
    assert await kafka.receiver.story(conversation) == list(range(1, 6 + told_anew))
    assert kafka.receiver.alarms() == {"another-log": 1}


async def test_a_topic_that_is_made_anew_under_a_running_consumer_is_noticed(kafka: KafkaPipeline) -> None:
    conversation = uuid4()
    async with kafka.process():
        await kafka.sender.say_much(conversation, 5)
        await kafka.settled()
        await kafka.broker.delete_topic(kafka.topic)
        await kafka.broker.create_topics(kafka.topic)
        await eventually(lambda: alarms(kafka), lambda reasons: "another-log" in reasons, within=60)
        await kafka.sender.say_much(conversation, 3)
        await kafka.settled(within=60)
    assert await kafka.receiver.story(conversation) == list(range(1, 9))


async def alarms(kafka: KafkaPipeline) -> dict[str, float]:
    return kafka.receiver.alarms()


async def test_a_gap_in_the_log_is_told_and_stops_nothing(kafka: KafkaPipeline) -> None:
    conversation = uuid4()
    written = [raw(said(conversation, number)) for number in range(1, 5)]
    async with kafka.process():
        await kafka.broker.send_with_gaps(kafka.topic, written[0].partition, [(r.key, r.value, r.headers) for r in written])
        await eventually(kafka.receiver.done, lambda done: done == 4)
    assert await kafka.receiver.story(conversation) == [1, 2, 3, 4]
    assert kafka.receiver.alarms() == {"gap": 3}


def neighbours() -> tuple[UUID, UUID]:
    """Two conversations of different partitions."""
    one = uuid4()
    other = next(candidate for candidate in iter(uuid4, None) if partition_of(str(candidate)) != partition_of(str(one)))
    return one, other


async def heal(kafka: KafkaPipeline, process: Process, place: tuple[str, int], first: int) -> None:
    """What an operator does about lost records: replay from the producer's own log, then store where to go on."""
    inbox = process.inboxes["receiver"]
    await replay(kafka.sender.database, inbox, TOPIC)
    await inbox.start_at(*place, Position(first))


async def test_records_lost_to_retention_are_never_jumped_over(kafka: KafkaPipeline) -> None:
    lost, other = neighbours()
    place = (TOPIC, partition_of(str(lost)))
    async with kafka.process():
        await kafka.sender.say_much(lost, 3)
        await kafka.settled()
    async with kafka.process(consumers=[]):
        await kafka.sender.say_much(lost, 7)
        await eventually(kafka.sender.pending, lambda pending: pending == 0)
    await kafka.broker.delete_records(kafka.topic, place[1], before=6)
    async with kafka.process() as process:
        await kafka.sender.say_much(other, 20)
        await eventually(lambda: alarms(kafka), lambda reasons: "retention-loss" in reasons)
        await eventually(lambda: kafka.receiver.story(other), lambda story: story == list(range(1, 21)))
        assert await kafka.receiver.story(lost) == [1, 2, 3]
        assert (await kafka.receiver.offsets())[place] == 3
        (waiting,) = [lag for lag in await process.bus.lags(process.inboxes["receiver"]) if lag.records]
        assert (waiting.partition, waiting.position, waiting.records) == (place[1], 3, 7), "what waits for a person is lag"
        assert waiting.held
        await heal(kafka, process, place, 6)
        await kafka.sender.say(lost)
        await kafka.settled()
    assert await kafka.receiver.story(lost) == list(range(1, 12))
    assert kafka.receiver.alarms() == {"retention-loss": 1}


async def test_records_lost_under_a_slow_consumer_are_never_jumped_over(kafka: KafkaPipeline) -> None:
    lost = uuid4()
    place = (TOPIC, partition_of(str(lost)))
    gate = asyncio.Event()

    async def wait(_db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        await gate.wait()

    kafka.receiver.reaction = wait
    async with kafka.process() as process:
        for _ in range(5):
            await kafka.sender.say_much(lost, 500)
        inbox = process.inboxes["receiver"]
        await eventually(kafka.sender.pending, lambda pending: pending == 0)
        await eventually(lambda: queued(process), lambda count: count >= 400)
        await kafka.broker.delete_records(kafka.topic, place[1], before=2400)
        gate.set()
        await eventually(lambda: alarms(kafka), lambda reasons: "retention-loss" in reasons)
        story = await kafka.receiver.story(lost)
        assert story == list(range(1, len(story) + 1)), "it ends where the loss begins"
        assert len(story) < 2400
        await heal(kafka, process, place, 2400)
        await kafka.settled()
        assert inbox.consumer == "receiver"
    assert await kafka.receiver.story(lost) == list(range(1, 2501))


async def queued(process: Process) -> int:
    return process.bus.queued(process.inboxes["receiver"])
