"""The inbox by itself: who may claim an event, what moves the offset, and what counts as a record's own fault."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import MetaData, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Fenced, Position, Record
from shared.dispatch import Handler, each, waves
from shared.errors import Unavailable
from shared.events.registry import Delivery, Event
from shared.inbox import Inbox
from tests.support.databases import Databases
from tests.support.parties import CLINIC, OTHER_CLINIC, Asked, Raw, Receiver, Said, Utterance, events, raw, said
from tests.support.pipeline import TOPIC, HastyInbox, Parties

PLACE = (TOPIC, 3)


@pytest_asyncio.fixture(loop_scope="session")
async def receiver(databases: Databases) -> AsyncIterator[Receiver]:
    parties = Parties(databases)
    yield await parties.receiver("receiver")
    await parties.leave()


def inbox_of(receiver: Receiver, *, consumer: str = "receiver") -> Inbox:
    subscriptions: dict[type[Event], Handler] = {Said: receiver.on_utterances, Asked: receiver.on_utterances}
    return HastyInbox(receiver.database, consumer=consumer, registry=events, subscriptions=subscriptions, metrics=receiver.metrics)


def records(*written: Raw, first: int = 0) -> list[Record]:
    return [Record(TOPIC, r.partition, first + number, r.key, r.value, r.headers) for number, r in enumerate(written)]


async def test_of_three_who_handle_one_event_at_once_one_does_it(receiver: Receiver) -> None:
    batch = records(raw(said(uuid4())))
    await asyncio.gather(*(inbox_of(receiver).handle(batch) for _ in range(3)))
    assert await receiver.done() == 1
    assert receiver.count("inbox_duplicates") == 2


async def test_batches_that_overlap_in_any_order_do_not_block_each_other(receiver: Receiver) -> None:
    batch = records(*(raw(said(uuid4())) for _ in range(40)))
    shuffled = [Random(seed).sample(batch, len(batch)) for seed in range(4)]
    await asyncio.gather(*(inbox_of(receiver).handle(some) for some in shuffled))
    assert await receiver.done() == 40


async def test_two_consumers_of_one_database_each_handle_it(receiver: Receiver) -> None:
    batch = records(raw(said(uuid4())))
    await inbox_of(receiver).handle(batch)
    await inbox_of(receiver, consumer="receiver-of-another-kind").handle(batch)
    assert await receiver.done() == 2


async def test_an_id_twice_in_one_chunk_is_one_event(receiver: Receiver) -> None:
    again = raw(said(uuid4()))
    await inbox_of(receiver).handle(records(again, again))
    assert await receiver.done() == 1


async def test_the_offset_moves_only_from_where_it_was_expected(receiver: Receiver) -> None:
    one, other = inbox_of(receiver), inbox_of(receiver)
    await one.start_at(*PLACE, Position(0))
    await one.handle(records(raw(said(uuid4())), raw(said(uuid4()))), partition=PLACE, expected=0)
    with pytest.raises(Fenced):
        await other.handle(records(raw(said(uuid4()))), partition=PLACE, expected=0)
    assert await receiver.done() == 2
    assert (await one.position(*PLACE) or Position(-1)).next_offset == 2


class Together(HastyInbox):
    """Notes how many partitions each of its transactions was about."""

    async def gather(self, *chunks: tuple[int, list[Record]]) -> list[BaseException | None]:
        """Hand in one chunk for each partition at once; returns what came of each."""
        self.sizes: list[int] = []
        for partition, _ in chunks:
            await self.start_at(TOPIC, partition, Position(0))
        placed = [(partition, [replace(record, partition=partition) for record in chunk]) for partition, chunk in chunks]
        handling = (self.handle(chunk, partition=(TOPIC, partition), expected=chunk[0].offset) for partition, chunk in placed)
        return await asyncio.gather(*handling, return_exceptions=True)

    async def _transaction(self, chunk: Any, records: Any, partition: Any, expected: Any, company: Any = ()) -> None:  # Any: handed through
        await super()._transaction(chunk, records, partition, expected, company)
        self.sizes.append(1 + len(company))

    async def parked(self) -> list[str | None]:
        """The keys of what is parked."""
        async with self.database.transaction() as db:
            return list((await db.execute(text("SELECT key FROM platform.parked WHERE state = 'parked'"))).scalars())

    async def offsets(self, count: int) -> list[int]:
        return [(await self.position(TOPIC, partition) or Position(-1)).next_offset for partition in range(count)]


def together(receiver: Receiver) -> Together:
    subscriptions: dict[type[Event], Handler] = {Said: receiver.on_utterances, Asked: receiver.on_utterances}
    return Together(receiver.database, consumer="receiver", registry=events, subscriptions=subscriptions, metrics=receiver.metrics)


async def test_chunks_of_partitions_that_wait_for_their_turn_share_a_transaction(receiver: Receiver) -> None:
    inbox = together(receiver)
    await inbox.gather(*((partition, records(raw(said(uuid4())), raw(said(uuid4())))) for partition in range(8)))
    assert await receiver.done() == 16
    assert await inbox.offsets(8) == [2] * 8
    assert max(inbox.sizes) > 1
    assert sum(inbox.sizes) == 8


async def test_who_shares_a_transaction_with_a_poisoned_or_a_fenced_chunk_is_handled_all_the_same(receiver: Receiver) -> None:
    inbox, poison = together(receiver), said(uuid4())

    async def stumble(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        if delivery.event == poison:
            raise ValueError

    receiver.reaction = stumble
    chunks = [(partition, records(raw(said(uuid4())))) for partition in range(6)]
    chunks.append((6, records(raw(poison))))
    chunks.append((7, records(raw(said(uuid4())), first=3)))
    outcomes = await inbox.gather(*chunks)
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 7 + [Fenced]
    assert await receiver.done() == 6
    assert await inbox.offsets(8) == [1] * 7 + [0]
    assert await inbox.parked() == [poison.key]


async def test_a_chunk_with_something_to_park_takes_nobody_along(receiver: Receiver) -> None:
    inbox = together(receiver)
    await inbox.gather(*((partition, records(raw(said(uuid4()))._replace(value=b"no JSON"))) for partition in range(5)))
    assert inbox.sizes == [1] * 5
    assert len(await inbox.parked()) == 5


async def test_a_first_position_never_replaces_a_stored_one(receiver: Receiver) -> None:
    inbox = inbox_of(receiver)
    assert await inbox.begin_at(*PLACE, Position(0)) == Position(0)
    await inbox.start_at(*PLACE, Position(5))
    assert await inbox.begin_at(*PLACE, Position(0)) == Position(5)


async def test_the_id_beside_the_offset_is_that_of_the_very_last_record(receiver: Receiver) -> None:
    inbox = inbox_of(receiver)
    await inbox.start_at(*PLACE, Position(0))
    last = uuid4()
    await inbox.handle(records(raw(said(uuid4())), raw(said(uuid4()), event_id=last)), partition=PLACE, expected=0)
    assert await inbox.position(*PLACE) == Position(2, last)
    nameless = raw(said(uuid4()))._replace(headers=())
    await inbox.handle(records(raw(said(uuid4())), nameless, first=2), partition=PLACE, expected=2)
    assert await inbox.position(*PLACE) == Position(4, None)


async def test_clinics_of_one_chunk_are_entered_one_by_one(receiver: Receiver) -> None:
    entered: dict[UUID, str] = {}

    async def look(db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        entered[delivery.clinic_id] = (await db.execute(text("SELECT current_setting('app.clinic_id')"))).scalar_one()

    receiver.reaction = look
    await inbox_of(receiver).handle(records(raw(said(uuid4())), raw(said(uuid4()), clinic_id=OTHER_CLINIC), raw(said(uuid4()))))
    assert entered == {CLINIC: str(CLINIC), OTHER_CLINIC: str(OTHER_CLINIC)}


class Row(SQLModel, registry=registry(metadata=MetaData())): ...


class Note(Row, table=True):
    """A record of a clinic, as services have them."""

    clinic_id: UUID = Field(primary_key=True)
    note_id: UUID = Field(primary_key=True)


NOTES = """
    CREATE TABLE public.note (clinic_id uuid, note_id uuid, PRIMARY KEY (clinic_id, note_id));
    ALTER TABLE public.note ENABLE ROW LEVEL SECURITY;
    CREATE POLICY inside_clinic ON public.note USING (clinic_id = (SELECT current_setting('app.clinic_id')::uuid));
    GRANT SELECT, INSERT ON public.note TO PUBLIC;
"""


async def test_what_a_handler_adds_is_written_inside_its_clinic(receiver: Receiver) -> None:
    await receiver.admin.execute(NOTES)

    async def add(db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        db.add(Note(clinic_id=delivery.clinic_id, note_id=delivery.event.conversation_id))

    receiver.reaction = add
    clinics = [CLINIC, OTHER_CLINIC, CLINIC, OTHER_CLINIC]
    await inbox_of(receiver).handle(records(*(raw(said(uuid4()), clinic_id=clinic) for clinic in clinics)))
    written = await receiver.admin.fetch("SELECT clinic_id FROM public.note ORDER BY clinic_id")
    assert [row["clinic_id"] for row in written] == sorted(clinics)
    assert len(receiver.batches) == 2, "nothing had to be tried again"


async def test_a_conversation_is_parked_in_its_order(receiver: Receiver) -> None:
    conversation = uuid4()
    spoiled = raw(said(conversation))._replace(value=b"{}")
    stranger = raw(said(uuid4()))
    chunk = records(
        spoiled, raw(said(conversation)), stranger, spoiled._replace(headers=raw(said(conversation)).headers), raw(said(conversation))
    )
    await inbox_of(receiver).handle(chunk)
    rows = await receiver.parked()
    assert [(row["offset"], row["reason"]) for row in rows] == [
        (0, "undecodable"),
        (1, "behind-parked-key"),
        (3, "undecodable"),
        (4, "behind-parked-key"),
    ]
    assert await receiver.done() == 1


async def test_of_two_clinics_that_use_a_key_at_the_same_moment_one_owns_it(receiver: Receiver) -> None:
    for _ in range(10):
        conversation = uuid4()
        claims = [records(raw(said(conversation), clinic_id=clinic)) for clinic in (CLINIC, OTHER_CLINIC)]
        await asyncio.gather(*(inbox_of(receiver).handle(claim, partition=None) for claim in claims), return_exceptions=True)
        assert await receiver.story(conversation) == [1]


DEFECTS = {
    "a division": "SELECT 1/0",
    "a missing table": "SELECT * FROM no_such_table",
    "a breached constraint": "INSERT INTO platform.inbox (consumer, event_id) VALUES (NULL, NULL)",
    "a missing right": "DELETE FROM platform.event_log",
    "no SQL": "SELEKT 1",
}


@pytest.mark.parametrize("statement", DEFECTS.values(), ids=DEFECTS.keys())
async def test_a_defect_is_not_taken_for_an_outage(receiver: Receiver, statement: str) -> None:
    async def stumble(db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        await db.execute(text(statement))

    receiver.reaction = stumble
    await inbox_of(receiver).handle(records(raw(said(uuid4()))))
    assert [row["reason"] for row in await receiver.parked()] == ["poison"]


@pytest.mark.parametrize("parameter", [object(), "NUL \x00", "\ud800"], ids=["a wrong type", "a NUL", "half a character"])
async def test_a_parameter_that_no_database_takes_is_not_taken_for_an_outage(receiver: Receiver, parameter: object) -> None:
    async def stumble(db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        await db.execute(text("SELECT CAST(:parameter AS text)"), {"parameter": parameter})

    receiver.reaction = stumble
    await inbox_of(receiver).handle(records(raw(said(uuid4()))))
    assert [row["reason"] for row in await receiver.parked()] == ["poison"]


@pytest.mark.parametrize("error", [OSError, FileNotFoundError, TimeoutError, ConnectionResetError])
async def test_what_a_handler_meets_elsewhere_is_not_taken_for_an_outage_of_the_database(
    receiver: Receiver, error: type[Exception]
) -> None:
    async def stumble(db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        await db.execute(text("SELECT 1"))
        raise error

    receiver.reaction = stumble
    await inbox_of(receiver).handle(records(raw(said(uuid4()))))
    assert [(row["reason"], row["error_class"]) for row in await receiver.parked()] == [("poison", error.__name__)]


TOO_SLOW = {
    "a statement": "SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(5)",
    "a lock": "SET LOCAL lock_timeout = '20ms'; SELECT pg_advisory_xact_lock(1)",
}


@pytest.mark.parametrize("statements", TOO_SLOW.values(), ids=TOO_SLOW.keys())
async def test_what_takes_too_long_again_and_again_is_parked_and_raises_alarms_before(receiver: Receiver, statements: str) -> None:
    tries: list[int] = []

    async def dawdle(db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        tries.append(delivery.event.number)
        for statement in statements.split("; "):
            await db.execute(text(statement))

    receiver.reaction = dawdle
    await receiver.admin.execute("SELECT pg_advisory_lock(1)")
    await inbox_of(receiver).handle(records(raw(said(uuid4()))))
    ordinary, longest = len(Inbox.TRIES_SECONDS), len(Inbox.SLOW_TRIES_SECONDS)
    assert [(row["error_class"], row["attempts"]) for row in await receiver.parked()] == [("TooSlow", longest)]
    assert (len(tries), receiver.count("consumer_alarms", reason="not-handled")) == (longest, longest - ordinary)


async def test_what_took_too_long_for_a_while_is_handled_in_its_place(receiver: Receiver) -> None:
    tries: list[int] = []

    async def dawdle(db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        tries.append(delivery.event.number)
        if len(tries) < 8:
            await db.execute(text("SET LOCAL statement_timeout = '20ms'"))
            await db.execute(text("SELECT pg_sleep(5)"))

    receiver.reaction = dawdle
    conversation = uuid4()
    await inbox_of(receiver).handle(records(raw(said(conversation, 1)), raw(said(conversation, 2))))
    assert await receiver.story(conversation) == [1, 2]


async def test_an_outage_is_handed_to_the_bus_with_nothing_done(receiver: Receiver) -> None:
    await receiver.cut_off()
    with pytest.raises(Unavailable):
        await inbox_of(receiver).handle(records(raw(said(uuid4()))))
    await receiver.give_back()
    assert (await receiver.done(), await receiver.parked()) == (0, [])


async def test_a_record_that_fails_alone_is_tried_three_times(receiver: Receiver) -> None:
    tries: list[int] = []

    async def stumble(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        tries.append(delivery.event.number)
        raise RuntimeError

    receiver.reaction = stumble
    await inbox_of(receiver).handle(records(raw(said(uuid4()))))
    assert tries == [1, 1, 1]


async def test_rare_events_can_be_handled_one_by_one(receiver: Receiver) -> None:
    seen: list[int] = []

    async def one(_db: AsyncSession, delivery: Delivery[Said]) -> None:
        seen.append(delivery.event.number)

    inbox = Inbox(receiver.database, consumer="receiver", registry=events, subscriptions={Said: each(one)}, metrics=receiver.metrics)
    conversation = uuid4()
    await inbox.handle(records(*(raw(said(conversation, number)) for number in (1, 2, 3))))
    assert seen == [1, 2, 3]


CONVERSATIONS = [uuid4() for _ in range(4)]


def deliveries_of(plan: Sequence[tuple[int, bool]]) -> list[Delivery[Event]]:
    kinds = {True: Asked, False: Said}
    written = [kinds[asked](**said(CONVERSATIONS[which], number).model_dump()) for number, (which, asked) in enumerate(plan)]
    return [Delivery(event, uuid4(), CLINIC, number) for number, event in enumerate(written)]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_no_batch_overtakes_an_earlier_event_of_its_key(plan: list[tuple[int, bool]]) -> None:
    deliveries = deliveries_of(plan)
    batches = list(waves(deliveries))
    assert all(len({type(delivery.event) for delivery in batch}) == 1 for batch in batches)
    handed_out = [delivery for batch in batches for delivery in batch]
    assert sorted(delivery.sequence for delivery in handed_out) == list(range(len(deliveries)))
    for conversation in CONVERSATIONS:
        own = [delivery.sequence for delivery in handed_out if delivery.event.key == str(conversation)]
        assert own == sorted(own)
