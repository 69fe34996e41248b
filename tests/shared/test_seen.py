"""What a consumer refuses to apply: another event under a known id, one with a gap before it, times and chains that cannot be, a flood."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Position, Record, partition_of
from shared.clock import FrozenClock
from shared.dispatch import Handler
from shared.draining import Draining
from shared.events.registry import Delivery, Event
from shared.outbox import emit
from shared.pipeline.redriving import Choice
from shared.reading import Bounds
from tests.benchmarks.recording import noted
from tests.support.databases import Databases
from tests.support.mending import give_up, redrive, redrive_key
from tests.support.parties import CLINIC, MORNING, Asked, Heard, Raw, Receiver, Said, Utterance, events, raw, said
from tests.support.pipeline import TOPIC, HastyInbox, Parties

AT_ONCE = 5
"""Events of one key that these consumers handle in a minute."""


@pytest_asyncio.fixture(loop_scope="session")
async def receiver(databases: Databases) -> AsyncIterator[Receiver]:
    parties = Parties(databases)
    yield await parties.receiver("receiver")
    await parties.leave()


class Reader:
    """A consumer, and a partition that is read from its beginning."""

    def __init__(self, receiver: Receiver, *, at_once: int = 1000, kinds: Sequence[type[Event]] = (Said, Asked)) -> None:
        self.receiver = receiver
        handlers: dict[type[Event], Handler] = dict.fromkeys(kinds, receiver.on_utterances)
        bounds = Bounds(FrozenClock(MORNING), timedelta(days=1), timedelta(days=730), at_once)
        self.inbox = HastyInbox(
            receiver.database, consumer="receiver", registry=events, subscriptions=handlers, metrics=receiver.metrics, bounds=bounds
        )
        self._next = 0

    async def read(self, *written: Raw, topic: str = TOPIC) -> None:
        """One chunk."""
        records = [Record(topic, one.partition, self._next + n, one.key, one.value, one.headers) for n, one in enumerate(written)]
        self._next += len(records)
        await self.inbox.handle(records)

    async def take_up(self) -> None:
        """All that the consumer takes up by itself."""
        draining = Draining(self.inbox, rest=0)
        while await draining.round():
            pass

    async def parked(self) -> list[tuple[str, str]]:
        """Reason and error of what is parked now."""
        return [(row["reason"], row["error_class"]) for row in await self.receiver.parked()]


def told(conversation: UUID, number: int, **envelope: Any) -> Raw:  # Any: what ``raw`` takes
    return raw(said(conversation, number), **{"sequence": number, **envelope})


def heard(conversation: UUID, number: int) -> Raw:
    """Of another topic, with numbers of its own."""
    return raw(Heard(conversation_id=conversation, number=number, occurred_at=MORNING), sequence=number)


async def test_another_event_under_a_known_id_is_set_aside_and_holds_nothing_up(receiver: Receiver) -> None:
    reader, conversation, event_id = Reader(receiver), uuid4(), uuid4()
    await reader.read(told(conversation, 1, event_id=event_id))
    await reader.read(told(conversation, 2, event_id=event_id), told(conversation, 2))
    assert await receiver.story(conversation) == [1, 2]
    assert await reader.parked() == [("other-content", "event-other-content")]
    assert receiver.count("parked", reason="other-content") == 1


async def test_so_it_is_in_one_chunk_and_for_what_cannot_be_read(receiver: Receiver) -> None:
    reader, conversation, event_id = Reader(receiver), uuid4(), uuid4()
    first = told(conversation, 1, event_id=event_id)
    await reader.read(first, told(conversation, 2, event_id=event_id))
    await reader.read(first._replace(value=b"{}"), first)
    assert await receiver.story(conversation) == [1]
    assert await reader.parked() == [("other-content", "event-other-content")] * 2
    assert receiver.count("inbox_duplicates") == 1


async def test_the_same_event_sent_by_another_release_is_the_same(receiver: Receiver) -> None:
    reader, conversation, event_id = Reader(receiver), uuid4(), uuid4()
    first = told(conversation, 1, event_id=event_id)
    await reader.read(first)
    await receiver.admin.execute("UPDATE platform.inbox SET content = NULL")
    await reader.read(first, first._replace(headers=(*first.headers, ("ce_hops", b"1"))))
    await reader.read(first._replace(value=b"{}"))
    assert await receiver.story(conversation) == [1]
    assert await reader.parked() == []


async def test_what_has_a_gap_before_it_waits_for_what_is_missing(receiver: Receiver) -> None:
    reader, conversation, other = Reader(receiver), uuid4(), uuid4()
    await reader.read(told(conversation, 1))
    await reader.read(told(conversation, 3), told(other, 1), told(conversation, 4))
    await reader.take_up()
    assert await reader.parked() == [("sequence-gap", "event-missing-before")] * 2
    assert (await receiver.story(conversation), await receiver.story(other)) == ([1], [1])
    await reader.read(told(conversation, 2))
    await reader.read(told(conversation, 5))
    await reader.take_up()
    assert await receiver.story(conversation) == [1, 2, 3, 4, 5]
    assert await reader.parked() == []


async def test_another_clinics_event_with_a_number_far_ahead_holds_nothing_up(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver), uuid4()
    await reader.read(told(conversation, 1))
    await reader.read(told(conversation, 9, clinic_id=uuid4()))
    assert await reader.parked() == [("tenant-mismatch", "event-tenant-mismatch")]
    await reader.read(told(conversation, 2))
    assert await receiver.story(conversation) == [1, 2]


async def test_of_two_gaps_one_stays(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver), uuid4()
    await reader.read(told(conversation, 1), told(conversation, 3), told(conversation, 5), told(conversation, 2))
    await reader.take_up()
    assert await receiver.story(conversation) == [1, 2, 3]
    assert len(await reader.parked()) == 1


async def test_what_comes_late_in_a_chunk_stands_where_it_belongs(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver), uuid4()
    await reader.read(told(conversation, 1))
    await reader.read(told(conversation, 3), told(conversation, 2))
    assert await receiver.story(conversation) == [1, 2, 3]


async def test_what_is_not_for_this_consumer_counts(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver, kinds=[Said]), uuid4()
    asked = raw(Asked(conversation_id=conversation, number=2, occurred_at=MORNING), sequence=2)
    await reader.read(told(conversation, 1))
    await reader.read(asked)
    await reader.read(told(conversation, 3, type_name="sender.speech.sung.v1"))
    await reader.read(told(conversation, 4))
    assert await receiver.story(conversation) == [1, 4]
    await reader.read(raw(Asked(conversation_id=conversation, number=6, occurred_at=MORNING), sequence=6), told(conversation, 7))
    await reader.read(told(conversation, 5))
    await reader.take_up()
    assert await receiver.story(conversation) == [1, 4, 5, 7], "what waited without being for us closes the gap for what follows it"


async def test_what_cannot_be_handled_counts(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver), uuid4()
    await reader.read(told(conversation, 1), told(conversation, 2)._replace(value=b"{}"))
    await reader.read(told(conversation, 3))
    assert [reason for reason, _ in await reader.parked()] == ["undecodable", "behind-parked-key"]


async def test_the_first_number_is_taken_as_it_is_and_so_are_those_of_the_past(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver), uuid4()
    await reader.read(told(conversation, 40), told(conversation, 41))
    await reader.read(told(conversation, 12), told(conversation, 42))
    assert sorted(await receiver.story(conversation)) == [12, 40, 41, 42]
    assert await reader.parked() == []


async def test_a_gap_is_none_where_a_release_that_does_not_count_was_at_work(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver), uuid4()
    await reader.read(told(conversation, 1))
    await receiver.admin.execute("INSERT INTO platform.inbox (consumer, event_id) VALUES ('receiver', gen_random_uuid())")
    await reader.read(told(conversation, 3))
    await reader.read(told(conversation, 5))
    assert await receiver.story(conversation) == [1, 3]
    assert [reason for reason, _ in await reader.parked()] == ["sequence-gap"], "from there on it is counted again"


async def test_a_gap_is_none_where_the_position_moved_without_counting(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver), uuid4()
    place = (TOPIC, partition_of(str(conversation)))
    await reader.inbox.start_at(*place, Position(0))

    async def read(number: int, offset: int) -> None:
        one = told(conversation, number)
        await reader.inbox.handle([Record(TOPIC, place[1], offset, one.key, one.value, one.headers)], partition=place, expected=offset)

    await read(1, 0)
    await receiver.admin.execute("UPDATE platform.consumer_offset SET next_offset = 2")
    await read(3, 2)
    await read(5, 3)
    assert await receiver.story(conversation) == [1, 3]
    assert [reason for reason, _ in await reader.parked()] == ["sequence-gap"]


async def test_what_is_missing_for_good_is_given_up_by_a_redrive(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver), uuid4()
    await reader.read(told(conversation, 1), told(conversation, 3), told(conversation, 4))
    assert (await redrive(reader.inbox, Choice(reason="sequence-gap"))).redriven == 2
    await reader.read(told(conversation, 5))
    assert await receiver.story(conversation) == [1, 3, 4, 5]


async def test_behind_a_poisoned_one_a_gap_waits_until_both_are_gone(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver), uuid4()

    async def fails(_db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        raise ValueError

    receiver.reaction = fails
    await reader.read(told(conversation, 1))
    receiver.recover()
    await reader.read(told(conversation, 3))
    await reader.read(told(conversation, 2))
    await reader.take_up()
    assert await receiver.story(conversation) == []
    assert await redrive_key(reader.inbox, conversation) == 3
    assert await receiver.story(conversation) == [1, 2, 3]


FAR_OFF = [MORNING + timedelta(days=2), MORNING - timedelta(days=1500), datetime(1970, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize("time", FAR_OFF)
async def test_an_event_whose_time_is_years_off_is_not_let_in_with_its_whole_key(receiver: Receiver, time: datetime) -> None:
    reader, conversation = Reader(receiver), uuid4()
    await reader.read(told(conversation, 1, time=time))
    await reader.read(told(conversation, 2))
    assert await reader.parked() == [("time-off", "event-time-off"), ("behind-parked-key", "behind-parked-key")]
    off, _ = await receiver.parked()
    outcome = await redrive(reader.inbox, Choice(key=str(conversation)))
    assert (outcome.redriven, outcome.held_up_by, await receiver.done()) == (0, [off["parked_id"]], 0)
    await give_up(reader.inbox, off["parked_id"])
    await reader.read(told(conversation, 3))
    assert await redrive_key(reader.inbox, conversation) == 2
    assert await receiver.story(conversation) == [2, 3]


@pytest.mark.parametrize("named", ["by its reason", "by its number"])
@pytest.mark.parametrize("time", FAR_OFF)
async def test_who_names_an_event_whose_time_is_years_off_lets_it_in_and_nothing_behind_it_is_lost(
    receiver: Receiver, time: datetime, named: str
) -> None:
    reader, conversation = Reader(receiver), uuid4()
    await reader.read(told(conversation, 1, time=time))
    await reader.read(told(conversation, 2), told(conversation, 3))
    first, _, last = [row["parked_id"] for row in await receiver.parked()]
    outcome = await redrive(reader.inbox, Choice(reason="time-off") if named == "by its reason" else Choice(from_id=first, to_id=last))
    await reader.read(told(conversation, 4))
    assert (outcome.redriven, outcome.failed, await reader.parked()) == (3, [], [])
    assert await receiver.story(conversation) == [1, 2, 3, 4]


async def test_a_time_that_was_not_looked_at_before_is_looked_at_when_the_event_is_taken_up(receiver: Receiver) -> None:
    """A release that did not know its version has parked it; and what is not for this consumer holds nothing up, whatever its time."""
    reader, conversation, other = Reader(receiver, kinds=[Said]), uuid4(), uuid4()
    await reader.read(told(conversation, 1, time=FAR_OFF[-1], type_name="sender.speech.said.v2"))
    await receiver.admin.execute(
        "UPDATE platform.parked SET headers = replace(headers::text, $1, $2)::jsonb", *map(encoded, ("speech.said.v2", "speech.said.v1"))
    )
    assert (await redrive(reader.inbox, Choice(reason="version-unknown"))).redriven == 0
    assert await reader.parked() == [("time-off", "event-time-off")]
    await reader.read(told(other, 1))
    await reader.read(raw(Asked(conversation_id=other, number=3, occurred_at=MORNING), sequence=3, time=FAR_OFF[-1]), told(other, 4))
    await reader.read(told(other, 2))
    await reader.take_up()
    assert await receiver.story(other) == [1, 2, 4]


def encoded(name: str) -> str:
    """A type's name as the car park keeps it among the headers."""
    return b64encode(f"sender.{name}".encode()).decode()


async def test_an_event_at_the_end_of_a_long_chain_is_set_aside(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver), uuid4()
    await reader.read(told(conversation, 1, hops=8), told(conversation, 2, hops=9))
    await reader.read(told(conversation, 3))
    assert await receiver.story(conversation) == [1, 3]
    assert await reader.parked() == [("too-many-hops", "event-too-many-hops")]
    assert receiver.count("parked", reason="too-many-hops") == 1


@pytest.mark.parametrize("occurred_at", [MORNING, MORNING + timedelta(days=3)])
async def test_nobody_lets_in_an_event_at_the_end_of_a_long_chain(receiver: Receiver, occurred_at: datetime) -> None:
    reader, conversation = Reader(receiver), uuid4()
    chained = Said(conversation_id=conversation, number=1, occurred_at=occurred_at)
    await reader.read(raw(chained, sequence=1, hops=9))
    await reader.read(told(conversation, 2))
    (first, *_) = await receiver.parked()
    await redrive(reader.inbox, Choice(from_id=first["parked_id"], to_id=first["parked_id"] + 1))
    assert await reader.parked() == [("too-many-hops", "event-too-many-hops")]
    assert await receiver.story(conversation) == [2]


async def test_what_follows_from_an_event_has_one_cause_more(receiver: Receiver) -> None:
    reader, conversation = Reader(receiver), uuid4()

    async def tells(db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        emit(db, Heard(conversation_id=conversation, number=delivery.event.number, occurred_at=MORNING))

    receiver.reaction = tells
    await reader.read(told(conversation, 1), told(conversation, 2, hops=3))
    assert [row["hops"] for row in await receiver.logged()] == [4, 4], "as many as any event of their batch"
    async with receiver.database.transaction(CLINIC) as db:
        emit(db, Heard(conversation_id=conversation, number=3, occurred_at=MORNING))
    assert (await receiver.logged())[-1]["hops"] == 0


async def test_what_is_more_than_a_key_may_have_in_a_minute_is_parked_and_taken_up_in_order(receiver: Receiver) -> None:
    reader, flood, other = Reader(receiver, at_once=AT_ONCE), uuid4(), uuid4()
    await reader.read(*(told(flood, number) for number in range(1, 13)), told(other, 1))
    await reader.read(told(flood, 13), told(other, 2))
    assert await receiver.story(flood) == [1, 2, 3, 4, 5]
    assert await receiver.story(other) == [1, 2]
    assert await reader.parked() == [("flood", "event-flood")] * 7 + [("flood", "flood")]
    assert receiver.count("parked", reason="flood") == 8
    await reader.take_up()
    assert await receiver.story(flood) == list(range(1, 14))
    await reader.read(told(flood, 14))
    await reader.take_up()
    assert await receiver.story(flood) == list(range(1, 15))


async def test_a_minute_later_as_many_are_handled_at_once_again(receiver: Receiver) -> None:
    reader, key = Reader(receiver, at_once=AT_ONCE), uuid4()
    await reader.read(*(told(key, number) for number in range(1, 6)))
    await receiver.admin.execute("UPDATE platform.key_seen SET minute_began_at = now() - interval '61 seconds'")
    await reader.read(*(told(key, number) for number in range(6, 12)))
    assert await receiver.story(key) == list(range(1, 11))


async def test_two_who_take_up_a_flood_at_once_double_and_reorder_nothing(receiver: Receiver) -> None:
    reader, flood = Reader(receiver, at_once=1), uuid4()
    for start in range(1, 301, 50):
        await reader.read(*(told(flood, number) for number in range(start, start + 50)))
    await asyncio.gather(reader.take_up(), Reader(receiver).take_up(), reader.read(told(flood, 301)))
    await reader.take_up()
    assert await receiver.story(flood) == list(range(1, 302))


OF_BOTH: Sequence[type[Event]] = (Said, Heard)
OTHER_TOPIC = Heard.type.topic


async def of_kind(receiver: Receiver, kind: type[Event]) -> list[int]:
    return [effect.number for effect in await receiver.effects() if effect.kind == kind.__name__]


async def test_a_flood_of_one_topic_holds_up_nothing_of_another(receiver: Receiver) -> None:
    """A patient's death is told in another topic than the infusions of a faulty import, and must not wait for them."""
    reader, key = Reader(receiver, at_once=AT_ONCE, kinds=OF_BOTH), uuid4()
    await reader.read(*(told(key, number) for number in range(1, 201)))
    await reader.read(heard(key, 1), heard(key, 2), topic=OTHER_TOPIC)
    await reader.read(told(key, 201))
    assert await of_kind(receiver, Heard) == [1, 2]
    assert {row["topic"] for row in await receiver.parked()} == {TOPIC}
    await reader.take_up()
    assert await of_kind(receiver, Said) == list(range(1, 202))


async def test_what_a_gap_has_let_go_does_not_wait_for_another_topics_flood(receiver: Receiver) -> None:
    reader, key = Reader(receiver, at_once=AT_ONCE, kinds=OF_BOTH), uuid4()
    await reader.read(heard(key, 1), heard(key, 3), topic=OTHER_TOPIC)
    await reader.read(*(told(key, number) for number in range(1, 201)))
    await reader.read(heard(key, 2), topic=OTHER_TOPIC)
    await Draining(reader.inbox, rest=0).round()
    assert await of_kind(receiver, Heard) == [1, 2, 3]
    assert len(await of_kind(receiver, Said)) == AT_ONCE, "the flood still waits"
    await reader.take_up()
    assert await of_kind(receiver, Said) == list(range(1, 201))


async def test_what_failed_holds_up_its_key_in_every_topic_also_beside_a_flood(receiver: Receiver) -> None:
    """Nobody knows what it would have changed. Whoever redrives it lets go all that waits behind it, whatever the topic."""
    reader, key = Reader(receiver, at_once=1, kinds=OF_BOTH), uuid4()

    async def hearing_fails(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        if delivery.event.type is Heard.type:
            raise RuntimeError

    await reader.read(*(told(key, number) for number in range(1, 4)))
    receiver.reaction = hearing_fails
    await reader.read(heard(key, 1), topic=OTHER_TOPIC)
    receiver.recover()
    await reader.read(told(key, 4))
    await reader.read(heard(key, 2), topic=OTHER_TOPIC)
    await reader.take_up()
    assert (await of_kind(receiver, Said), await of_kind(receiver, Heard)) == ([1, 2, 3], [])
    assert [reason for reason, _ in await reader.parked()] == ["poison", "flood", "behind-parked-key"]
    assert (await redrive(reader.inbox, Choice(reason="poison"))).redriven == 3
    assert (await of_kind(receiver, Said), await of_kind(receiver, Heard)) == ([1, 2, 3, 4], [1, 2])
    assert await reader.parked() == []


async def test_what_fails_in_a_flood_holds_up_the_rest_for_a_person(receiver: Receiver) -> None:
    reader, flood = Reader(receiver, at_once=1), uuid4()

    async def third_fails(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        if delivery.event.number == 3:
            raise ValueError

    receiver.reaction = third_fails
    await reader.read(*(told(flood, number) for number in range(1, 5)))
    await reader.take_up()
    assert await receiver.story(flood) == [1, 2]
    assert [reason for reason, _ in await reader.parked()] == ["poison", "flood"]
    receiver.recover()
    await reader.read(told(flood, 5))
    assert (await redrive(reader.inbox, Choice(reason="poison"))).redriven == 3, "also what only waited for its turn, and what came last"
    assert (await receiver.story(flood), await reader.parked()) == ([1, 2, 3, 4, 5], [])


async def test_a_flood_costs_as_many_statements_as_one_event_too_much(receiver: Receiver) -> None:
    counted, reader = [], Reader(receiver, at_once=1)
    for number in (2, 50):
        flood = uuid4()
        before = await receiver.admin.fetchval("SELECT count(*) FROM platform.parked")
        with noted(receiver.database.engine) as transactions:
            await reader.read(*(told(flood, n) for n in range(1, number + 1)))
        assert await receiver.admin.fetchval("SELECT count(*) FROM platform.parked") - before == number - 1
        counted.append([len(transaction.statements) for transaction in transactions])
    assert counted[0] == counted[1]
