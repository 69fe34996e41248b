"""What is committed arrives, what is not does not, and each conversation arrives in its order."""

import asyncio
from collections import Counter
from contextlib import suppress
from random import Random
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.events.registry import MAX_EVENT_BYTES, Delivery, MalformedEvent
from shared.outbox import emit, write_emitted
from tests.support.parties import CLINIC, MORNING, Asked, Heard, Said, Utterance
from tests.support.pipeline import Pipeline
from tests.support.waiting import eventually


async def test_what_is_committed_arrives_once_and_what_is_rolled_back_never(pipeline: Pipeline) -> None:
    kept, undone = uuid4(), uuid4()
    async with pipeline.process():
        await pipeline.sender.say(kept)
        with suppress(ZeroDivisionError):
            async with pipeline.sender.database.transaction(CLINIC) as db:
                await pipeline.sender.say_in(db, kept, undone)
                raise ZeroDivisionError
        await pipeline.sender.say(kept)
        await pipeline.settled()
    assert await pipeline.receiver.story(kept) == [1, 2]
    assert await pipeline.receiver.story(undone) == []
    assert len(await pipeline.sender.logged()) == 2


async def test_eight_writers_at_once_are_heard_in_order_of_their_commits(pipeline: Pipeline) -> None:
    conversations = [uuid4() for _ in range(5)]

    async def write(seed: int) -> None:
        random = Random(seed)
        for _ in range(25):
            async with pipeline.sender.database.transaction(CLINIC) as db:
                await pipeline.sender.say_in(db, *sorted(random.sample(conversations, 2)))
                await asyncio.sleep(random.random() / 1000)  # others come in between

    async with pipeline.process():
        await asyncio.gather(*(write(seed) for seed in range(8)))
        await pipeline.settled()
    effects = await pipeline.receiver.effects()
    assert len(effects) == 8 * 25 * 2
    for conversation in conversations:
        own = [effect for effect in effects if effect.key == str(conversation)]
        assert [effect.number for effect in own] == list(range(1, len(own) + 1))
        assert [effect.sequence for effect in own] == list(range(1, len(own) + 1))


async def test_who_drew_a_number_early_and_commits_late_is_not_lost(pipeline: Pipeline) -> None:
    slow, fast = uuid4(), uuid4()
    async with pipeline.process() as process:
        async with pipeline.sender.database.transaction(CLINIC) as db:
            await pipeline.sender.say_in(db, slow)
            await write_emitted(db, producer="sender")
            for _ in range(3):
                await pipeline.sender.say(fast)
            await eventually(pipeline.receiver.done, lambda done: done == 3)
        process.relays[0].wake()
        await pipeline.settled()
        assert await pipeline.receiver.story(slow) == [1]
    first, *later = await pipeline.sender.logged()
    assert first["key"] == str(slow), "the slow one did not draw its number first"
    assert {row["key"] for row in later} == {str(fast)}


async def test_an_event_that_is_too_large_is_refused_where_it_is_told(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process():
        with pytest.raises(MalformedEvent, match="event-too-large"):
            await pipeline.sender.say(conversation, words="x" * MAX_EVENT_BYTES)
        await pipeline.sender.say(conversation, words="x" * (MAX_EVENT_BYTES - 300))
        await pipeline.settled()
    assert await pipeline.receiver.story(conversation) == [1]


async def test_a_service_cannot_write_to_the_topic_of_another(pipeline: Pipeline) -> None:
    with pytest.raises(ValueError, match=r"sender must not write to receiver\.events"):
        async with pipeline.sender.database.transaction(CLINIC) as db:
            emit(db, Heard(conversation_id=uuid4(), number=1, occurred_at=MORNING))
    assert await pipeline.sender.logged() == []


async def test_what_a_handler_tells_is_committed_with_what_it_does(pipeline: Pipeline) -> None:
    conversation = uuid4()
    failures = iter([RuntimeError("the first try fails after telling")])

    async def tell_on(db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        emit(db, Heard(conversation_id=delivery.event.conversation_id, number=delivery.event.number, occurred_at=MORNING))
        for failure in failures:
            await db.execute(text("INSERT INTO public.effect (kind) VALUES ('undone')"))
            raise failure

    pipeline.receiver.reaction = tell_on
    archive = await pipeline.another_receiver("archive")
    async with pipeline.process(relays=[pipeline.sender, pipeline.receiver], consumers=[pipeline.receiver, archive]):
        for _ in range(3):
            await pipeline.sender.say(conversation)
        await eventually(archive.done, lambda done: done >= 6)
    told = await pipeline.receiver.logged()
    assert [row["key_version"] for row in told] == [1, 2, 3]
    assert await pipeline.receiver.story(conversation) == [1, 2, 3]
    assert Counter(effect.kind for effect in await archive.effects()) == {"Said": 3, "Heard": 3}
    causes = {effect.event_id for effect in await pipeline.receiver.effects()}
    assert {row["causation_id"] for row in told} <= causes


async def test_batches_keep_each_conversation_in_order_across_event_types(pipeline: Pipeline) -> None:
    one, other = uuid4(), uuid4()
    kinds: dict[UUID, list[type[Utterance]]] = {one: [], other: []}
    async with pipeline.sender.database.transaction(CLINIC) as db:
        for conversation, kind in ((one, Said), (other, Said), (one, Asked), (other, Said), (one, Said), (other, Asked)):
            kinds[conversation].append(kind)
            await pipeline.sender.say_in(db, conversation, kind=kind)
    async with pipeline.process():
        await pipeline.settled()
    assert await pipeline.receiver.story(one) == [1, 2, 3]
    assert await pipeline.receiver.story(other) == [1, 2, 3]
    assert all(len({effect.kind for effect in batch}) == 1 for batch in pipeline.receiver.batches), "a batch is of one type"
