"""Reading a stretch again: what was had is skipped, what was missed is handled, and the live consumer goes its way."""

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Place, partition_of
from shared.events.registry import Delivery
from shared.pipeline.telling.replaying import Tally, replay
from tests.support.parties import Raw, Utterance, raw, said
from tests.support.pipeline import TOPIC, KafkaPipeline, Pipeline, Process
from tests.support.waiting import eventually


class Indigestible(Exception):
    """A defect in a handler."""


def place_of(conversation: UUID) -> Place:
    return TOPIC, partition_of(str(conversation))


async def read_again(pipeline: Pipeline, process: Process, conversation: UUID, *, start: int = 0, dry_run: bool = False) -> Tally:
    """Everything that the receiver has come past in a conversation's partition, from an offset on."""
    inbox, place = process.inboxes["receiver"], place_of(conversation)
    end = await process.bus.reached(inbox, place)
    whole = Tally(next_offset=start)
    while whole.next_offset < end:
        part = await replay(inbox, process.bus, place, whole.next_offset, end, dry_run=dry_run)
        for name in ("read", "known", "ignored", "applied", "parked"):
            setattr(whole, name, getattr(whole, name) + getattr(part, name))
        whole.next_offset = part.next_offset
    return whole


async def forget(pipeline: Pipeline, conversation: UUID, *numbers: int) -> None:
    """As if the receiver had never had these: neither effect nor inbox row, while its position is behind them."""
    await pipeline.receiver.admin.execute(
        """
        WITH gone AS (DELETE FROM public.effect WHERE key = $1 AND number = ANY($2::int[]) RETURNING event_id)
        DELETE FROM platform.inbox WHERE event_id IN (SELECT event_id FROM gone)
        """,
        str(conversation), list(numbers),
    )  # fmt: skip


async def test_nothing_is_applied_twice(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process() as process:
        await pipeline.sender.say_much(conversation, 120)
        await pipeline.settled()
        positions = await pipeline.receiver.offsets()
        tally = await read_again(pipeline, process, conversation)
    assert (tally.read, tally.known, tally.applied) == (120, 120, 0)
    assert await pipeline.receiver.story(conversation) == list(range(1, 121))
    assert await pipeline.receiver.offsets() == positions


async def test_what_was_missed_is_handled_and_the_live_consumer_goes_on(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process() as process:
        await pipeline.sender.say_much(conversation, 20)
        await pipeline.settled()
        await forget(pipeline, conversation, 3, 4, 20)
        positions = await pipeline.receiver.offsets()
        dry = await read_again(pipeline, process, conversation, dry_run=True)
        assert (dry.known, dry.applied) == (17, 3)
        assert len(await pipeline.receiver.story(conversation)) == 17, "a dry run changes nothing"
        tally = await read_again(pipeline, process, conversation)
        assert (tally.known, tally.applied) == (17, 3)
        assert await pipeline.receiver.offsets() == positions
        await pipeline.sender.say(conversation)
        await pipeline.settled()
    assert sorted(await pipeline.receiver.story(conversation)) == list(range(1, 22))


async def test_a_stretch_is_read_while_the_conversation_goes_on(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process() as process:
        await pipeline.sender.say_much(conversation, 100)
        await pipeline.settled()

        async def goes_on(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
            if delivery.event.number % 10 == 0 and delivery.event.number <= 100:
                await pipeline.sender.say(conversation, conversation)

        pipeline.receiver.reaction = goes_on
        await forget(pipeline, conversation, *range(50, 61))
        await read_again(pipeline, process, conversation)
        await pipeline.settled()
    last = await pipeline.sender.last_number(conversation)
    assert last > 100
    assert sorted(await pipeline.receiver.story(conversation)) == list(range(1, last + 1))


async def test_what_cannot_be_handled_now_is_parked_with_its_reason(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process() as process:
        await pipeline.sender.say_much(conversation, 5)
        await pipeline.settled()
        await forget(pipeline, conversation, 2, 3)

        async def stumbles(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
            raise Indigestible

        pipeline.receiver.reaction = stumbles
        tally = await read_again(pipeline, process, conversation)
    assert (tally.known, tally.applied, tally.parked) == (3, 0, 2)
    rows = await pipeline.receiver.parked()
    assert [(row["reason"], row["attempts"]) for row in rows] == [("poison", 1), ("behind-parked-key", 1)], "a person waits: one try"


async def test_a_stretch_begins_at_a_time(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process() as process:
        await pipeline.sender.say_much(conversation, 5)
        await pipeline.settled()
        place, inbox = place_of(conversation), process.inboxes["receiver"]
        now = datetime.now(UTC)
        assert await process.bus.offset_at(place, now - timedelta(days=1)) < await process.bus.reached(inbox, place)
        assert await process.bus.offset_at(place, now + timedelta(days=1)) == await process.bus.reached(inbox, place)
        start = await process.bus.offset_at(place, now - timedelta(days=1))
        assert (await read_again(pipeline, process, conversation, start=start)).read == 5


@pytest.mark.kafka
@pytest.mark.timeout(300)
async def test_a_stretch_that_retention_has_cut_short_is_read_as_far_as_it_is_there(kafka: KafkaPipeline) -> None:
    conversation = uuid4()
    async with kafka.process() as process:
        await kafka.sender.say_much(conversation, 10)
        await kafka.settled()
        await kafka.broker.delete_records(kafka.topic, place_of(conversation)[1], before=4)
        assert (await read_again(kafka, process, conversation)).read == 6


@pytest.mark.kafka
@pytest.mark.timeout(300)
async def test_gaps_between_offsets_end_no_reading(kafka: KafkaPipeline) -> None:
    conversation = uuid4()
    records: list[Raw] = [raw(said(conversation, number)) for number in range(1, 4)]
    async with kafka.process() as process:
        place = place_of(conversation)
        await kafka.broker.send_with_gaps(kafka.topic, place[1], [(one.key, one.value, one.headers) for one in records])
        await eventually(partial(kafka.receiver.story, conversation), lambda story: story == [1, 2, 3])
        assert (await read_again(kafka, process, conversation)).known == 3
