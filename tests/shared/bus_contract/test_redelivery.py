"""Whatever dies, is repeated or comes late: every event has its effect, and has it once."""

import asyncio
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Outgoing, Published
from shared.events.registry import Delivery
from shared.local import replay
from shared.outbox import Relay
from tests.support.parties import Utterance, raw, said
from tests.support.pipeline import TOPIC, HastyInbox, Pipeline, PlantedCrash, Process
from tests.support.waiting import eventually


class DiesBeforePublishing(Relay):
    async def _publish_while_trusted(self, connection: object, batch: list[Outgoing]) -> Published:
        raise PlantedCrash


class DiesBeforeMarking(Relay):
    async def _mark(self, connection: object, rows: list[asyncpg.Record], published: Published) -> None:
        raise PlantedCrash


class StumblesOnce(Relay):
    """Its driver meets the end of the connection between two statements."""

    stumbled = False

    async def _lead(self, connection: Any, stop: asyncio.Event) -> None:  # Any: handed through
        if not self.stumbled:
            self.stumbled = True
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
        await super()._lead(connection, stop)


async def relay_is_dead(process: Process) -> bool:
    return process.loops["relay-0"].done()


async def test_a_relay_that_dies_before_publishing_loses_nothing(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process(relay_type=DiesBeforePublishing) as doomed:
        await pipeline.sender.say(conversation)
        await eventually(lambda: relay_is_dead(doomed))
    assert (await pipeline.sender.pending(), await pipeline.receiver.done()) == (1, 0)
    async with pipeline.process():
        await pipeline.settled()
    assert await pipeline.receiver.story(conversation) == [1]


async def test_a_relay_that_dies_between_acknowledgement_and_mark_repeats_without_effect(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process(relay_type=DiesBeforeMarking) as doomed:
        await pipeline.sender.say(conversation)
        await eventually(lambda: relay_is_dead(doomed))
        await eventually(pipeline.receiver.done)
    assert await pipeline.sender.pending() == 1
    async with pipeline.process():
        await pipeline.sender.say(conversation)
        await pipeline.settled()
    assert pipeline.receiver.count("inbox_duplicates") == 1, "the event was not delivered again"
    assert await pipeline.receiver.story(conversation) == [1, 2]


async def test_a_consumer_that_dies_in_the_middle_begins_again(pipeline: Pipeline) -> None:
    conversation = uuid4()
    reached, dead = asyncio.Event(), asyncio.Event()

    async def hang(_db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        reached.set()
        await dead.wait()

    async def die() -> None:
        await pipeline.receiver.cut_off()  # with a process, its connections end
        dead.set()

    pipeline.receiver.reaction = hang
    async with pipeline.process() as doomed:
        await pipeline.sender.say(conversation)
        await asyncio.wait_for(reached.wait(), 40)
        await asyncio.gather(doomed.crash(), die())
    assert await pipeline.receiver.done() == 0
    await pipeline.receiver.give_back()
    pipeline.receiver.recover()
    async with pipeline.process():
        await pipeline.settled()
    assert await pipeline.receiver.story(conversation) == [1]


async def test_an_id_that_comes_three_times_at_once_has_one_effect(pipeline: Pipeline) -> None:
    record = raw(said(uuid4()))
    async with pipeline.process() as process:
        await asyncio.gather(*(pipeline.inject(process, record) for _ in range(3)))
        await eventually(lambda: duplicates(pipeline), lambda count: count == 2)
    assert await pipeline.receiver.done() == 1


async def duplicates(pipeline: Pipeline) -> float:
    return pipeline.receiver.count("inbox_duplicates")


async def test_one_id_is_handled_once_by_each_consumer(pipeline: Pipeline) -> None:
    conversation = uuid4()
    archive = await pipeline.another_receiver("archive")
    async with pipeline.process(consumers=[pipeline.receiver, archive]) as process:
        await pipeline.sender.say(conversation)
        await pipeline.settled(pipeline.receiver, archive)
        (event,) = await pipeline.receiver.effects()
        again = raw(said(conversation), event_id=event.event_id)
        await pipeline.inject(process, again, again)
        await eventually(lambda: duplicates(pipeline), lambda count: count == 2)
        await pipeline.settled(pipeline.receiver, archive)
    assert await pipeline.receiver.effects() == await archive.effects() == [event]


async def test_a_database_that_goes_away_while_handling_is_waited_for(pipeline: Pipeline) -> None:
    conversation = uuid4()
    calls: list[int] = []

    async def lose_the_database(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        calls.append(delivery.event.number)
        if len(calls) == 1:
            await pipeline.receiver.cut_off()

    pipeline.receiver.reaction = lose_the_database
    async with pipeline.process():
        await pipeline.sender.say(conversation)
        await eventually(pipeline.receiver.refused_connections)
        assert await pipeline.receiver.done() == 0
        await pipeline.receiver.give_back()
        await eventually(pipeline.receiver.done)
        await pipeline.sender.say(conversation)
        await pipeline.settled()
    assert calls == [1, 1, 2], "an outage is no try"
    assert await pipeline.receiver.story(conversation) == [1, 2]
    assert await pipeline.receiver.admin.fetchval("SELECT count(*) FROM platform.parked") == 0


class ForgetsCommits(HastyInbox):
    """The first commits happen and are reported as failed, as when a connection breaks at that moment."""

    forgotten = 0

    async def _transaction(self, *arguments: Any) -> None:  # Any: handed through
        await super()._transaction(*arguments)
        if self.forgotten < 4:
            self.forgotten += 1
            raise ConnectionResetError


async def test_a_commit_whose_answer_is_lost_is_neither_lost_nor_repeated(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process(inbox_type=ForgetsCommits) as process:
        for number in range(1, 9):
            await pipeline.sender.say(conversation)
            await eventually(partial(progress, pipeline, number - 1))
        await pipeline.settled()
        inbox = process.inboxes["receiver"]
    assert isinstance(inbox, ForgetsCommits)
    assert inbox.forgotten == 4, "no commit was forgotten"
    assert await pipeline.receiver.story(conversation) == list(range(1, 9))
    assert await pipeline.receiver.parked() == []


async def test_a_restart_goes_on_where_it_was(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process():
        await pipeline.sender.say(conversation)
        await pipeline.settled()
    await pipeline.sender.say(conversation)
    async with pipeline.process():
        await pipeline.sender.say(conversation)
        await pipeline.settled()
    assert await pipeline.receiver.story(conversation) == [1, 2, 3]
    assert pipeline.receiver.count("inbox_duplicates") == 0
    assert pipeline.receiver.alarms() == {}


async def test_a_late_consumer_sees_the_history_first(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process():
        await pipeline.sender.say_much(conversation, 120)
        await pipeline.settled()
    archive = await pipeline.another_receiver("archive")
    async with pipeline.process(consumers=[pipeline.receiver, archive]):
        await pipeline.sender.say(conversation)
        await pipeline.settled(pipeline.receiver, archive)
        await eventually(archive.done, lambda done: done >= 121)
    assert await archive.story(conversation) == list(range(1, 122))
    assert await pipeline.receiver.story(conversation) == list(range(1, 122))


async def test_a_replay_repeats_nothing_and_fills_what_was_missing(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process() as process:
        await pipeline.sender.say_much(conversation, 60)
        await pipeline.settled()
        (forgotten, *_) = await pipeline.receiver.effects()
        await pipeline.receiver.admin.execute("DELETE FROM platform.inbox WHERE event_id = $1", forgotten.event_id)
        await pipeline.receiver.admin.execute("DELETE FROM public.effect WHERE event_id = $1", forgotten.event_id)
        assert await replay(pipeline.sender.database, process.inboxes["receiver"], TOPIC) == 60
    assert sorted(await pipeline.receiver.story(conversation)) == list(range(1, 61))
    assert pipeline.receiver.count("inbox_duplicates") == 59


async def test_stopping_and_starting_under_load_loses_and_repeats_nothing(pipeline: Pipeline) -> None:
    conversations = [uuid4() for _ in range(6)]
    async with pipeline.process():
        await pipeline.settled()  # a first start shows a consumer the history, and the relay what is pending of it once more

    async def talk(conversation: UUID, until: asyncio.Event) -> None:
        while not until.is_set():
            await pipeline.sender.say(conversation)

    enough = asyncio.Event()
    talking = [asyncio.create_task(talk(conversation, enough)) for conversation in conversations]
    for _ in range(3):
        before = await pipeline.receiver.done()
        async with pipeline.process():
            await eventually(partial(progress, pipeline, before), lambda done: done > 40)
    enough.set()
    await asyncio.gather(*talking)
    async with pipeline.process():
        await pipeline.settled()
    for conversation in conversations:
        told = await pipeline.sender.last_number(conversation)
        assert await pipeline.receiver.story(conversation) == list(range(1, told + 1))
    assert pipeline.receiver.count("inbox_duplicates") == 0, "a clean stop leaves nothing to repeat"


async def progress(pipeline: Pipeline, before: int) -> int:
    return await pipeline.receiver.done() - before


async def test_a_standby_relay_calls_the_leader_and_not_itself(pipeline: Pipeline) -> None:
    calls: list[object] = []

    async def heard() -> int:
        return len(calls)

    async with pipeline.process(), pipeline.process():
        await eventually(pipeline.sender.relay_in_the_lead)
        await pipeline.sender.admin.add_listener("afterglow_outbox", lambda *call: calls.append(call))
        await pipeline.sender.say(uuid4())
        await eventually(heard)
        for _ in range(50):
            await pipeline.sender.admin.fetchval("SELECT pg_sleep(0.01)")
    assert len(calls) <= 2, "one commit is told once or twice, not for ever"


async def test_a_relay_whose_driver_stumbles_over_a_lost_connection_goes_on(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process(relay_type=StumblesOnce) as process:
        await pipeline.sender.say(conversation)
        await pipeline.settled()
        assert not await relay_is_dead(process)
    assert await pipeline.receiver.story(conversation) == [1]


async def test_a_standby_relay_takes_over_when_the_leaders_connection_dies(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process() as leading, pipeline.process() as standing_by:
        leader = await eventually(pipeline.sender.relay_in_the_lead)
        await pipeline.sender.admin.execute("SELECT pg_terminate_backend($1)", leader)
        await pipeline.sender.say(conversation)
        await eventually(pipeline.sender.relay_in_the_lead, lambda pid: pid not in (None, leader))
        await pipeline.settled()
        await leading.crash()
        await pipeline.sender.say(conversation)
        await pipeline.settled()
        assert not standing_by.loops["relay-0"].done()
    assert await pipeline.receiver.story(conversation) == [1, 2]
