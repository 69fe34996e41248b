"""Parked records are tried again in the order of their key, each once, whoever tries and whatever goes on meanwhile."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Record
from shared.events.registry import Delivery
from shared.parking import PlaceTaken
from shared.pipeline import redriving
from shared.pipeline.redriving import Choice, Outcome
from tests.support.mending import give_up, redrive, redrive_key
from tests.support.parties import Reaction, Utterance, raw, said
from tests.support.pipeline import TOPIC, HastyInbox, LocalPipeline, Pipeline
from tests.support.waiting import eventually


class Indigestible(Exception):
    """A defect in a handler."""


class StillIndigestible(Exception):
    """Another one."""


def stumbles_over(*places: tuple[UUID, int], error: type[Exception] = Indigestible) -> Reaction:
    async def reaction(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        if (delivery.event.conversation_id, delivery.event.number) in places:
            raise error

    return reaction


async def parked_ids(pipeline: Pipeline, conversation: UUID) -> list[int]:
    return [row["parked_id"] for row in await pipeline.receiver.parked() if row["key"] == str(conversation)]


async def test_what_fails_again_stays_parked_with_a_fresh_reason_and_one_more_try(pipeline: Pipeline) -> None:
    poisoned = uuid4()
    pipeline.receiver.reaction = stumbles_over((poisoned, 1))
    async with pipeline.process() as process:
        for _ in range(3):
            await pipeline.sender.say(poisoned)
        await pipeline.settled()
        pipeline.receiver.reaction = stumbles_over((poisoned, 2), error=StillIndigestible)
        outcome = await redrive(process.inboxes["receiver"], Choice(reason="poison"))
    (first, second) = await pipeline.receiver.parked()
    assert await pipeline.receiver.story(poisoned) == [1]
    assert (outcome.redriven, [failure.error_class for failure in outcome.failed]) == (1, ["StillIndigestible"])
    assert (first["reason"], first["error_class"], first["attempts"]) == ("poison", "StillIndigestible", 2)
    assert (second["reason"], second["attempts"]) == ("behind-parked-key", 1)


async def test_a_reason_takes_what_waits_behind_it_and_nothing_of_another_key(pipeline: Pipeline) -> None:
    poisoned, other = uuid4(), uuid4()
    pipeline.receiver.reaction = stumbles_over((poisoned, 1), (other, 1))
    async with pipeline.process() as process:
        for _ in range(3):
            await pipeline.sender.say(poisoned, other)
        await pipeline.settled()
        pipeline.receiver.recover()
        held = (await parked_ids(pipeline, other))[0]
        await pipeline.receiver.admin.execute("UPDATE platform.parked SET reason = 'undecodable' WHERE parked_id = $1", held)
        outcome = await redrive(process.inboxes["receiver"], Choice(reason="poison"))
    assert (outcome.redriven, outcome.failed, outcome.held_up_by) == (3, [], [])
    assert await pipeline.receiver.story(poisoned) == [1, 2, 3]
    assert await pipeline.receiver.story(other) == []


async def test_a_range_is_taken_up_to_its_end_and_held_up_by_what_lies_before_it(pipeline: Pipeline) -> None:
    poisoned = uuid4()
    pipeline.receiver.reaction = stumbles_over((poisoned, 1))
    async with pipeline.process() as process:
        for _ in range(4):
            await pipeline.sender.say(poisoned)
        await pipeline.settled()
        pipeline.receiver.recover()
        first, second, third, _fourth = await parked_ids(pipeline, poisoned)
        inbox = process.inboxes["receiver"]
        late = await redrive(inbox, Choice(from_id=second, to_id=third))
        assert (late.redriven, late.held_up_by) == (0, [first])
        whole = await redrive(inbox, Choice(from_id=first, to_id=third))
        assert (whole.redriven, whole.held_up_by) == (3, [])
    assert await pipeline.receiver.story(poisoned) == [1, 2, 3]
    assert len(await parked_ids(pipeline, poisoned)) == 1


async def test_two_who_redrive_at_once_apply_nothing_twice(pipeline: Pipeline) -> None:
    poisoned = uuid4()
    pipeline.receiver.reaction = stumbles_over((poisoned, 1))
    async with pipeline.process() as process:
        for _ in range(12):
            await pipeline.sender.say(poisoned)
        await pipeline.settled()
        pipeline.receiver.recover()
        inbox = process.inboxes["receiver"]
        await asyncio.gather(*(redrive_key(inbox, poisoned) for _ in range(4)))
        await redrive_key(inbox, poisoned)
    assert await pipeline.receiver.story(poisoned) == list(range(1, 13))


async def test_who_redrives_a_key_waits_for_what_is_just_being_parked_behind_it(local: LocalPipeline) -> None:
    """Otherwise it would settle the key, and the record would stay parked behind nothing, with nobody to try it again."""
    poisoned, other = uuid4(), uuid4()
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def dwell_on_the_other(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        if delivery.event.conversation_id == other:
            reached.set()
            await go_on.wait()

    inbox = local.inbox(local.receiver, HastyInbox)
    local.receiver.reaction = stumbles_over((poisoned, 2))
    await inbox.handle([record_at(1, said(poisoned, 1))])  # whose the key is, is known from here on: nobody waits for that
    await inbox.handle([record_at(2, said(poisoned, 2))])
    local.receiver.reaction = dwell_on_the_other
    handling = asyncio.create_task(inbox.handle([record_at(3, said(poisoned, 3)), record_at(4, said(other, 1))]))
    await asyncio.wait_for(reached.wait(), 40)
    redriving_it = asyncio.create_task(redrive_key(inbox, poisoned))
    await eventually(lambda: waits_or_is_done(local, redriving_it))
    go_on.set()
    await handling
    assert await redriving_it == 2
    assert await local.receiver.story(poisoned) == [1, 2, 3]
    assert await local.receiver.parked() == []


async def waits_or_is_done(pipeline: Pipeline, task: "asyncio.Task[int]") -> bool:
    """Whether somebody waits for a row of the receiver's, or the task did not have to."""
    waiting = await pipeline.receiver.admin.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(waiting) or task.done()


async def test_a_long_redrive_is_done_in_parts(pipeline: Pipeline) -> None:
    conversations = [uuid4() for _ in range(3)]
    pipeline.receiver.reaction = stumbles_over(*((conversation, 1) for conversation in conversations))
    async with pipeline.process() as process:
        for _ in range(2):
            await pipeline.sender.say(*conversations)
        await pipeline.settled()
        # The first one goes on failing, and must not keep the others from their turn.
        stuck = UUID((await pipeline.receiver.parked())[0]["key"])
        pipeline.receiver.reaction = stumbles_over((stuck, 1))
        inbox, parts = process.inboxes["receiver"], [Outcome(complete=False)]
        while not parts[-1].complete:
            last = parts[-1]
            parts.append(await redrive(inbox, Choice(reason="poison"), after=last.done_up_to, resume_at=last.resume_at, seconds=0.0))
            assert len(parts) < 20, "it comes to an end"
    assert max(part.redriven for part in parts) == 1
    assert [await pipeline.receiver.story(one) for one in conversations if one != stuck] == [[1, 2], [1, 2]]
    assert len(await parked_ids(pipeline, stuck)) == 2


async def test_a_part_never_holds_more_keys_than_it_may_also_where_it_takes_one_up_again(pipeline: Pipeline) -> None:
    """Who asks for a part takes one that is full for a sign that more is to come, and one that is not for the last."""
    conversations = [uuid4() for _ in range(4)]
    pipeline.receiver.reaction = stumbles_over(*((conversation, 1) for conversation in conversations))
    async with pipeline.process() as process:
        await pipeline.sender.say(*conversations)
        await pipeline.settled()
        first, second, *_ = [row["parked_id"] for row in await pipeline.receiver.parked()]
        consumer, choice = process.inboxes["receiver"].consumer, Choice(reason="poison")
        async with pipeline.receiver.database.transaction() as db:
            part = await redriving.lanes(db, consumer, choice, after=first, limit=2, resume_at=first)
    assert [lane.head_id for lane in part] == [first, second]


async def test_a_settled_record_does_not_stand_in_the_way_of_another_log(local: LocalPipeline) -> None:
    """A topic that was made anew counts its offsets from the start: what is parked then must not be taken for what was settled before."""
    conversation, stranger = uuid4(), uuid4()
    inbox = local.inbox(local.receiver, HastyInbox)
    local.receiver.reaction = stumbles_over((stranger, 1), (conversation, 1))
    await inbox.handle([record_at(5, said(stranger))])
    await give_up(inbox, (await parked_ids(local, stranger))[0])
    await inbox.handle([record_at(4, said(conversation, 1))])
    await inbox.handle([record_at(5, said(conversation, 2))])
    local.receiver.recover()
    assert [row["reason"] for row in await local.receiver.parked()] == ["poison", "behind-parked-key"]
    assert await redrive_key(inbox, conversation) == 2
    assert await local.receiver.story(conversation) == [1, 2]


async def test_what_nobody_can_read_gives_its_place_to_other_bytes_only(local: LocalPipeline) -> None:
    inbox = local.inbox(local.receiver, HastyInbox)
    old, new = (Record(TOPIC, 0, 5, b"key", value, ()) for value in (b"of the old log", b"of the new log"))
    await inbox.handle([old])
    await give_up(inbox, (await local.receiver.parked())[0]["parked_id"])
    await inbox.handle([old])
    assert await local.receiver.parked() == [], "it was read again, and a person has settled it"
    await inbox.handle([new])
    assert [(row["reason"], row["value"]) for row in await local.receiver.parked()] == [("undecodable", b"of the new log")]


async def test_nothing_is_lost_where_another_log_meets_what_still_waits(local: LocalPipeline) -> None:
    old, new = uuid4(), uuid4()
    inbox = local.inbox(local.receiver, HastyInbox)
    local.receiver.reaction = stumbles_over((old, 1), (new, 1))
    await inbox.handle([record_at(5, said(old))])
    late = record_at(5, said(new))
    with pytest.raises(PlaceTaken):
        await inbox.handle([late])
    await give_up(inbox, (await parked_ids(local, old))[0])
    await inbox.handle([late])
    local.receiver.recover()
    assert await redrive_key(inbox, new) == 1
    assert await local.receiver.story(new) == [1]


def record_at(offset: int, event: Utterance) -> Record:
    """The record of an event at an offset."""
    written = raw(event)
    return Record(TOPIC, 0, offset, written.key, written.value, written.headers)
