"""Kafka only: members come and go, and the broker goes and comes, under load."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from shared.kafka import KafkaBus
from shared.kafka.consuming import Consuming
from shared.kafka.partition import Partition
from tests.support.pipeline import HastyInbox, KafkaPipeline, Process
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


class Counting(HastyInbox):
    """Counts what this member handles."""

    count = 0

    async def _transaction(self, chunk: Any, records: Any, partition: Any, expected: Any, company: Any = ()) -> None:  # Any: handed through
        await super()._transaction(chunk, records, partition, expected, company)
        self.count += len(records) + sum(len(part.records) for part in company)


async def handled_by(process: Process) -> int:
    inbox = process.inboxes["receiver"]
    assert isinstance(inbox, Counting)
    return inbox.count


@asynccontextmanager
async def load(kafka: KafkaPipeline) -> AsyncIterator[list[UUID]]:
    """Forty conversations that go on all the time, until the block is left."""
    conversations = [uuid4() for _ in range(40)]
    enough = asyncio.Event()

    async def talk(own: list[UUID]) -> None:
        while not enough.is_set():
            await kafka.sender.say(*own)
            await asyncio.sleep(0.1)  # a few hundred events a second are load enough

    talking = [asyncio.create_task(talk(conversations[start::4])) for start in range(4)]
    try:
        yield conversations
    finally:
        enough.set()
        await asyncio.gather(*talking)


async def assert_all_is_told(kafka: KafkaPipeline, conversations: list[UUID]) -> None:
    """Every conversation whole, in order and once."""
    told = {str(conversation): await kafka.sender.last_number(conversation) for conversation in conversations}
    effects = await kafka.receiver.effects()
    stories: dict[str, list[int]] = {key: [] for key in told}
    for effect in effects:
        stories[effect.key].append(effect.number)
    assert stories == {key: list(range(1, last + 1)) for key, last in told.items()}
    assert await kafka.receiver.parked() == []


async def test_members_that_join_and_leave_under_load_neither_lose_nor_repeat(kafka: KafkaPipeline) -> None:
    async with AsyncExitStack() as members:
        first = await members.enter_async_context(kafka.process(inbox_type=Counting))
        async with load(kafka) as conversations:
            for _ in range(2):
                async with kafka.process(relays=[], inbox_type=Counting) as second:
                    await eventually(lambda second=second: handled_by(second), lambda count: count > 50)  # type: ignore[misc]
                    before = await handled_by(first)
                    await eventually(lambda: handled_by(first), lambda count, before=before: count > before)  # type: ignore[misc]
            third = await members.enter_async_context(kafka.process(relays=[], inbox_type=Counting))
            await eventually(lambda: handled_by(third), lambda count: count > 50)
        await kafka.settled()
    await assert_all_is_told(kafka, conversations)
    assert kafka.receiver.count("inbox_duplicates") == 0, "members that leave in order leave nothing to repeat"


async def test_a_member_that_ends_in_the_middle_of_its_work_is_replaced(kafka: KafkaPipeline) -> None:
    async with kafka.process(inbox_type=Counting) as survivor:
        async with load(kafka) as conversations:
            async with kafka.process(relays=[], inbox_type=Counting) as doomed:
                await eventually(lambda: handled_by(doomed), lambda count: count > 50)
                await doomed.crash()
            before = await handled_by(survivor)
            await eventually(lambda: handled_by(survivor), lambda count: count > before + 50)
        await kafka.settled()
    await assert_all_is_told(kafka, conversations)


class DiesInSilence(Partition):
    """A partition whose task ends, as only a defect could make it."""

    dying: ClassVar[bool] = True

    async def _work(self) -> None:
        if type(self).dying:
            type(self).dying = False
            raise asyncio.CancelledError
        await super()._work()


class Watchful(Consuming):
    partition_type = DiesInSilence
    stall_seconds = 0.3


class WatchfulBus(KafkaBus):
    consuming_type = Watchful


async def test_a_partition_that_stands_still_is_noticed_and_taken_up_again(kafka: KafkaPipeline) -> None:
    DiesInSilence.dying = True
    conversations = [uuid4() for _ in range(100)]
    async with kafka.process(bus=WatchfulBus(kafka.settings())):
        await kafka.sender.say(*conversations)
        await kafka.settled()
    assert not DiesInSilence.dying, "no partition died"
    assert kafka.receiver.alarms() == {"stalled": 1}
    await assert_all_is_told(kafka, conversations)


async def test_a_frozen_broker_stops_no_writer_and_costs_nothing(kafka: KafkaPipeline) -> None:
    async with kafka.process():
        async with load(kafka) as conversations:
            await eventually(kafka.receiver.done, lambda done: done > 100)
            await kafka.broker.pause()
            try:
                frozen_since = asyncio.get_running_loop().time()
                await eventually(kafka.sender.pending, lambda pending: pending > 300, within=60)
                await eventually(seconds_since(frozen_since), lambda seconds: seconds > 8)
            finally:
                await kafka.broker.unpause()
        await kafka.settled(within=90)
    await assert_all_is_told(kafka, conversations)


def seconds_since(start: float) -> Any:  # Any: a probe
    async def seconds() -> float:
        return asyncio.get_running_loop().time() - start

    return seconds


async def test_a_killed_broker_stops_no_writer_and_costs_nothing(kafka: KafkaPipeline) -> None:
    async with kafka.process():
        async with load(kafka) as conversations:
            await eventually(kafka.receiver.done, lambda done: done > 100)
            await kafka.broker.kill()
            try:
                await eventually(kafka.sender.pending, lambda pending: pending > 300, within=60)
            finally:
                await kafka.broker.start_again()
        await kafka.settled(within=90)
    await assert_all_is_told(kafka, conversations)
