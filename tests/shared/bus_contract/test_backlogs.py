"""What is measured of a backlog is what the database and the bus hold; a value that could not be measured shows its age."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.backlogs import BusBacklog, DatabaseBacklog
from shared.bus import partition_of
from shared.clock import FrozenClock
from shared.events.registry import Delivery
from shared.sampling import Sampling
from shared.timers import Timer, arm
from tests.support.databases import Databases
from tests.support.parties import CLINIC, Party, Reaction, Sender, Utterance, raw, said
from tests.support.pipeline import Parties, Pipeline
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
    await sender.admin.execute("UPDATE platform.event_log SET recorded_at = now() - interval '1 minute' WHERE key_version = 1")
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


async def test_timers_are_counted_when_they_are_due_and_not_before(sender: Sender, clock: FrozenClock) -> None:
    sampling = measured(sender, clock, "reminder", "other")
    ahead = timedelta(minutes=5)
    async with sender.database.transaction(CLINIC) as db:
        await arm(db, Timer("due", "reminder", clock.now() - ahead, uuid4()), Timer("ahead", "reminder", clock.now() + ahead, uuid4()))
    await sampling.sample("database")
    assert value(sender, "timers_due", timer_kind="reminder") == 1
    assert value(sender, "timers_oldest_due_seconds", timer_kind="reminder") == ahead.total_seconds()
    assert value(sender, "timers_due", timer_kind="other") == 0


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


async def leads(party: Party) -> bool:
    return value(party, "relay_leading") == 1


class Indigestible(Exception):
    """A defect of the handler."""


def stumbles_over(conversation: UUID) -> Reaction:
    async def reaction(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        if delivery.event.conversation_id == conversation:
            raise Indigestible

    return reaction
