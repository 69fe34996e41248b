"""Who takes up a flood: replicas that do it at once, and processes that are killed in the midst of it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Record
from shared.clock import FrozenClock
from shared.db import Database
from shared.draining import Draining
from shared.errors import TooSlow
from shared.events.registry import Delivery
from shared.inbox import CHUNK
from shared.reading import Bounds
from tests.support.databases import Databases
from tests.support.parties import MORNING, Receiver, Said, Utterance, events, raw, said
from tests.support.pipeline import TOPIC, HastyInbox, Parties
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
FLOOD = 5 * CHUNK


@pytest_asyncio.fixture(loop_scope="session")
async def receiver(databases: Databases) -> AsyncIterator[Receiver]:
    parties = Parties(databases)
    yield await parties.receiver("receiver")
    await parties.leave()


def replica_of(receiver: Receiver) -> HastyInbox:
    """A process of the service: connections of its own, and one event of a key at once."""
    bounds = Bounds(FrozenClock(MORNING), timedelta(days=1), timedelta(days=730), 1)
    return HastyInbox(
        Database(receiver.database.url, name="receiver"), consumer="receiver", registry=events,
        subscriptions={Said: receiver.on_utterances}, metrics=receiver.metrics, bounds=bounds,
    )  # fmt: skip


async def flooded(receiver: Receiver, key: UUID) -> None:
    """One event is handled, and all others are parked."""
    inbox = replica_of(receiver)
    written = [raw(said(key, number), sequence=number) for number in range(1, FLOOD + 2)]
    await inbox.handle([Record(TOPIC, one.partition, offset, one.key, one.value, one.headers) for offset, one in enumerate(written)])
    await inbox.database.close()
    assert len(await receiver.parked()) == FLOOD


async def test_of_two_replicas_one_waits_while_the_other_takes_up_a_chunk_of_the_key(receiver: Receiver) -> None:
    key, other_waits = uuid4(), asyncio.Event()
    await flooded(receiver, key)

    async def dwell(_db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        await other_waits.wait()

    receiver.reaction = dwell
    replicas = [replica_of(receiver) for _ in range(2)]
    rounds = [asyncio.create_task(Draining(replica, rest=0).round()) for replica in replicas]
    await eventually(lambda: receiver.admin.fetchval(_WAITING))
    other_waits.set()
    assert await asyncio.gather(*rounds) == [True, True]
    assert await receiver.story(key) == list(range(1, 2 * CHUNK + 2)), "a chunk each, the second behind the first"
    for replica in replicas:
        await replica.database.close()


async def reasons(receiver: Receiver) -> set[str]:
    return {row["reason"] for row in await receiver.parked()}


@pytest.mark.parametrize(("failure", "tries"), [(TooSlow("The database took too long."), 10), (ValueError("a defect"), 3)])
async def test_what_fails_in_a_busy_hour_is_tried_as_often_as_a_live_event_before_it_waits_for_a_person(
    receiver: Receiver, failure: Exception, tries: int
) -> None:
    key = uuid4()
    await flooded(receiver, key)

    async def fail(_db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        raise failure

    receiver.reaction = fail
    replica = replica_of(receiver)
    draining = Draining(replica, rest=0)
    for _ in range(tries - 1):
        assert await draining.round()
    assert await reasons(receiver) == {"flood"}, "it may pass at the next try"
    await draining.round()
    assert await reasons(receiver) == {"flood", "poison"}
    await replica.database.close()


async def test_a_try_that_went_well_lets_the_next_record_fail_as_often(receiver: Receiver) -> None:
    key, busy = uuid4(), [True, True, False, True, True, False]
    await flooded(receiver, key)

    async def at_times(_db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        if busy and busy.pop(0):
            raise ValueError("a deadlock")

    receiver.reaction = at_times
    replica = replica_of(receiver)
    draining = Draining(replica, rest=0)
    while await draining.round():
        assert await reasons(receiver) <= {"flood"}
    assert await receiver.story(key) == list(range(1, FLOOD + 2))
    await replica.database.close()


async def test_what_fails_again_after_a_person_took_it_up_has_all_its_tries_again(receiver: Receiver) -> None:
    key = uuid4()
    await flooded(receiver, key)

    async def fail(_db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        raise ValueError("a defect")

    receiver.reaction = fail
    replica = replica_of(receiver)
    draining = Draining(replica, rest=0)
    for _ in range(3):
        await draining.round()
    assert await reasons(receiver) == {"flood", "poison"}
    await receiver.admin.execute("UPDATE platform.parked SET reason = 'flood' WHERE reason = 'poison'")
    for _ in range(2):
        await draining.round()
    assert await reasons(receiver) == {"flood"}, "it may pass at the next try"
    await replica.database.close()


_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def taking_up(receiver: Receiver, failpoint: str) -> int:
    """The exit code of a process that takes up what is parked."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.shared.taking_up",
        receiver.database.url,
        cwd=ROOT,
        env={**os.environ, "AFTERGLOW_FAILPOINTS": failpoint},
    )
    return await process.wait()


@pytest.mark.parametrize("failpoint", ["draining.before_commit", "draining.after_commit"])
async def test_a_kill_in_the_midst_of_a_flood_loses_nothing_and_doubles_nothing(receiver: Receiver, failpoint: str) -> None:
    key = uuid4()
    await flooded(receiver, key)
    for _ in range(2):
        assert await taking_up(receiver, f"{failpoint}=kill@2") == -signal.SIGKILL
        assert await receiver.parked(), "it was killed in the midst of it"
    assert await taking_up(receiver, "") == 0
    assert (await receiver.story(key), await receiver.parked()) == (list(range(1, FLOOD + 2)), [])
