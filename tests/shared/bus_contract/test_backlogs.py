"""What is measured of a backlog is what the database and the bus hold; a value that could not be measured shows its age."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.backlogs import BusBacklog, DatabaseBacklog
from shared.bus import BusUnavailable, partition_of
from shared.clock import FrozenClock
from shared.events.registry import Delivery
from shared.sampling import Sampling
from shared.timers import Timer, arm
from tests.support.databases import Databases
from tests.support.parties import CLINIC, Party, Reaction, Sender, Utterance, raw, said
from tests.support.pipeline import KafkaPipeline, Parties, Pipeline
from tests.support.waiting import eventually


@pytest_asyncio.fixture(loop_scope="session")
async def parties(databases: Databases) -> AsyncIterator[Parties]:
    parties = Parties(databases)
    yield parties
    await parties.leave()


@pytest_asyncio.fixture(loop_scope="session")
async def sender(parties: Parties) -> Sender:
    return await parties.sender()


def measured(party: Party, clock: FrozenClock, *kinds: str) -> Sampling:
    backlog = DatabaseBacklog(party.database, clock, party.metrics, consumers=[party.name], kinds=kinds)
    return Sampling(party.metrics, {"database": backlog.measure})


def value(party: Party, name: str, **labels: str) -> float | None:
    return party.metrics.registry.get_sample_value(f"afterglow_{name}", labels)


def values(party: Party, name: str) -> Iterator[float]:
    for family in party.metrics.registry.collect():
        yield from (sample.value for sample in family.samples if sample.name == f"afterglow_{name}")


async def test_the_outbox_is_counted_by_partition_and_back_at_zero_when_it_is_relayed(sender: Sender, clock: FrozenClock) -> None:
    sampling, conversation = measured(sender, clock), uuid4()
    place = str(partition_of(str(conversation)))
    await sender.say_much(conversation, 3)
    # What is told again happened long ago and has not waited for long.
    await sender.admin.execute("UPDATE platform.event_log SET recorded_at = now() - interval '9 days'")
    last = await sender.admin.fetchval("SELECT max(seq) FROM platform.outbox_pending")
    await sender.admin.execute("UPDATE platform.outbox_pending SET pending_since = now() - interval '1 minute' WHERE seq = $1", last)
    await sampling.sample("database")
    assert value(sender, "outbox_pending", partition=place) == 3
    assert sum(values(sender, "outbox_pending")) == 3
    assert max(values(sender, "outbox_oldest_seconds")) == pytest.approx(60, abs=30)
    assert len(list(values(sender, "outbox_pending"))) == 12
    await sender.admin.execute("DELETE FROM platform.outbox_pending")
    await sampling.sample("database")
    assert set(values(sender, "outbox_pending")) == set(values(sender, "outbox_oldest_seconds")) == {0}


async def test_a_value_stays_while_the_database_is_away_and_its_age_shows(sender: Sender, clock: FrozenClock) -> None:
    sampling = measured(sender, clock)
    assert value(sender, "last_sampled_timestamp_seconds", part="database") == 0
    await sender.say(uuid4())
    await sampling.sample("database")
    before = value(sender, "last_sampled_timestamp_seconds", part="database")
    assert before
    await sender.cut_off()
    await sampling.sample("database")
    assert sum(values(sender, "outbox_pending")) == 1
    assert value(sender, "last_sampled_timestamp_seconds", part="database") == before
    assert sender.count("worker_failures", worker="sampling") == 1
    await sender.give_back()
    await sampling.sample("database")
    assert (value(sender, "last_sampled_timestamp_seconds", part="database") or 0) > before


async def test_of_more_parked_records_than_are_counted_the_oldest_are(sender: Sender, clock: FrozenClock) -> None:
    """They were parked one after the other, and the oldest was tried again last, so it lies behind all others in its table."""
    await sender.admin.execute(
        """
        INSERT INTO platform.parked (consumer, topic, partition, "offset", key, blocks_key, headers, reason, error_class, parked_at)
        SELECT 'sender', 'topic', 0, n, CASE n WHEN 0 THEN 'z' ELSE 'a' || n END, true, '[]', 'poison', 'Error',
               CASE n WHEN 0 THEN now() - interval '1 day' ELSE now() END
        FROM generate_series(0, 110000) n;
        UPDATE platform.parked SET attempts = 2 WHERE key = 'z'
        """
    )
    sampling = measured(sender, clock)
    await sampling.sample("database")
    assert value(sender, "parked_open", consumer="sender", reason="poison") == 100_000
    assert value(sender, "parked_oldest_seconds", consumer="sender", reason="poison") == pytest.approx(86400, abs=600)


async def test_timers_are_counted_when_they_are_due_and_not_before(sender: Sender, clock: FrozenClock) -> None:
    sampling = measured(sender, clock, "reminder", "other")
    ahead = timedelta(minutes=5)
    async with sender.database.transaction(CLINIC) as db:
        await arm(db, Timer("due", "reminder", clock.now() - ahead, uuid4()), Timer("ahead", "reminder", clock.now() + ahead, uuid4()))
    await sampling.sample("database")
    assert value(sender, "timers_due", timer_kind="reminder") == 1
    assert value(sender, "timers_oldest_due_seconds", timer_kind="reminder") == ahead.total_seconds()
    assert value(sender, "timers_due", timer_kind="other") == 0


async def test_measuring_reads_no_row_that_is_settled(sender: Sender, clock: FrozenClock) -> None:
    """Settled rows stay for years: a measurement that reads all of them every five seconds would be most of the load."""
    await sender.admin.execute(MUCH_IS_SETTLED)
    async with explained(sender) as plans:
        await measured(sender, clock).sample("database")
    assert len(plans) >= 4
    assert [plan for plan in plans if re.search(r"Seq Scan on (parked|timer|event_log)", plan)] == []


@asynccontextmanager
async def explained(party: Party) -> AsyncIterator[list[str]]:
    """The plans of the statements that a service runs meanwhile."""
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        asked.append((statement, parameters))

    engine = party.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    plans: list[str] = []
    yield plans
    event.remove(engine, "before_cursor_execute", note)
    for statement, parameters in asked:
        plans.append("\n".join(row[0] for row in await party.admin.fetch(f"EXPLAIN {statement}", *parameters)))


async def test_two_replicas_see_the_same(sender: Sender, clock: FrozenClock, parties: Parties) -> None:
    other = Sender("sender", sender.database, sender.admin)
    await sender.say(uuid4(), uuid4())
    for replica in (sender, other):
        await measured(replica, clock).sample("database")
    assert list(values(sender, "outbox_pending")) == list(values(other, "outbox_pending"))


async def test_parked_records_are_counted_by_reason_with_the_keys_that_they_hold_up(pipeline: Pipeline, clock: FrozenClock) -> None:
    receiver, bad, good = pipeline.receiver, uuid4(), uuid4()
    receiver.reaction = stumbles_over(bad)
    sampling = measured(receiver, clock)
    async with pipeline.process() as process:
        await pipeline.sender.say(bad, good)
        await pipeline.sender.say(bad)
        await pipeline.inject(process, raw(said(uuid4()))._replace(value=b"no JSON"))
        await eventually(receiver.parked, lambda rows: len(rows) == 3)
    await sampling.sample("database")
    shown = {reason: value(receiver, "parked_open", consumer="receiver", reason=reason) for reason in ("poison", "undecodable")}
    assert shown == {"poison": 1, "undecodable": 1}
    assert value(receiver, "parked_open", consumer="receiver", reason="behind-parked-key") == 1
    assert value(receiver, "parked_open", consumer="receiver", reason="tenant-mismatch") == 0
    assert value(receiver, "parked_open", consumer="relay", reason="unpublishable") == 0
    assert value(receiver, "parked_keys_blocked", consumer="receiver") == 2
    await receiver.admin.execute("UPDATE platform.parked SET state = 'discarded'")
    await sampling.sample("database")
    assert sum(values(receiver, "parked_open")) == sum(values(receiver, "parked_keys_blocked")) == 0


async def test_every_partition_has_a_lag_whoever_reads_it(pipeline: Pipeline) -> None:
    async with pipeline.process() as process:
        await pipeline.sender.say(*(uuid4() for _ in range(20)))
        await pipeline.settled()
        measuring = BusBacklog(process.bus, process.inboxes["receiver"], pipeline.receiver.metrics)
        await measuring.measure()
    lags = list(values(pipeline.receiver, "consumer_lag"))
    assert lags == [0.0] * 12
    assert sum(values(pipeline.receiver, "consumer_position")) >= 20
    assert set(values(pipeline.receiver, "consumer_oldest_seconds")) == set(values(pipeline.receiver, "consumer_held")) == {0}


async def test_one_relay_of_two_says_that_it_leads(sender: Sender, pipeline: Pipeline) -> None:
    standby = Sender("sender", pipeline.sender.database, pipeline.sender.admin)
    async with pipeline.process(consumers=[]):
        await eventually(lambda: leads(pipeline.sender))
        async with pipeline.process(relays=[standby], consumers=[]):
            await pipeline.sender.say(uuid4())
            await eventually(pipeline.sender.pending, lambda pending: pending == 0)
            assert not await leads(standby)
    assert not await leads(pipeline.sender)


@pytest.mark.kafka
@pytest.mark.timeout(300)
async def test_what_is_being_handled_has_an_age(kafka: KafkaPipeline) -> None:
    gate, conversation = asyncio.Event(), uuid4()

    async def wait(_db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        await gate.wait()

    kafka.receiver.reaction = wait
    place = {"consumer": "receiver", "topic": "sender.events", "partition": str(partition_of(str(conversation)))}
    async with kafka.process() as process:
        backlog = BusBacklog(process.bus, process.inboxes["receiver"], kafka.receiver.metrics)

        async def age() -> float:
            with suppress(BusUnavailable):
                await backlog.measure()
            return value(kafka.receiver, "consumer_oldest_seconds", **place) or 0.0

        await kafka.sender.say(conversation)
        await eventually(age, lambda seconds: seconds > 0.1)
        assert value(kafka.receiver, "consumer_lag", **place) == 1
        gate.set()
        await kafka.settled()
        await eventually(age, lambda seconds: seconds == 0.0)


async def leads(party: Party) -> bool:
    return value(party, "relay_leading") == 1


class Indigestible(Exception):
    """A defect of the handler."""


def stumbles_over(conversation: UUID) -> Reaction:
    async def reaction(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        if delivery.event.conversation_id == conversation:
            raise Indigestible

    return reaction


MUCH_IS_SETTLED = """
    INSERT INTO platform.parked (consumer, topic, partition, "offset", key, blocks_key, headers, reason, error_class, state)
    SELECT 'sender', 'other.events', 0, n, 'key-' || n, true, '[]', 'poison', 'Defect', 'resolved' FROM generate_series(1, 20000) n;
    INSERT INTO platform.timer (timer_key, kind, due_at, subject_id, clinic_id, state)
    SELECT 'timer-' || n, 'reminder', '2026-01-01', gen_random_uuid(), gen_random_uuid(), 'fired' FROM generate_series(1, 20000) n;
    INSERT INTO platform.event_log (event_id, type, topic, key, key_version, partition, subject, clinic_id, occurred_at, data)
    SELECT gen_random_uuid(), 'speech.said.v1', 'sender.events', 'key', n, 0, 'subject', gen_random_uuid(), now(), ''
    FROM generate_series(1, 20000) n;
    ANALYZE platform.parked, platform.timer, platform.event_log, platform.outbox_pending;
"""
