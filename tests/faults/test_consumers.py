"""Consumers that come and go while a clinic works: every rebalance takes partitions away from somebody who is at work on them."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
from aiokafka import AIOKafkaConsumer

from shared.kafka.assigning import assignor
from tests.faults.installation import READS, Installation
from tests.faults.report import Report
from tests.faults.scenario import SEED, scenario
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

GROUP = "followup"
ROUNDS = 3
GUESTS = 24
EVENTS_OF_A_VISIT = 3
"""It was booked, begun and completed."""


@pytest.mark.long
async def test_consumers_join_and_leave(installation: Installation, report: Report) -> None:
    await installation.start()
    passing = [installation.prepare(GROUP) for _ in range(2)]
    async with scenario("consumers join and leave", installation, report) as running, running.fault(completed=8 * ROUNDS):
        for _ in range(ROUNDS):
            await asyncio.gather(*(process.start() for process in passing))
            await eventually(partial(installation.broker.members, GROUP), lambda count: count == 3, within=120, every=0.2)
            await running.clinic.completes(4)
            await running.followed_up()  # by three that share the partitions
            for process in passing:
                assert (await process.stop())[1] == 0
                await running.clinic.completes(2)
            await eventually(partial(installation.broker.members, GROUP), lambda count: count == 1, within=60, every=0.2)
    await running.ends_whole(f"two more consumers of followup started and stopped, {ROUNDS} x")


@pytest.mark.long
async def test_rebalance_storm(installation: Installation, report: Report) -> None:
    await installation.start()
    await installation.add(GROUP)
    chance = random.Random(SEED)
    async with scenario("rebalance storm", installation, report) as running:
        before = await installation.handled(GROUP)
        async with running.fault(completed=GUESTS // 2), AsyncExitStack() as staying:
            for number in range(GUESTS):
                await staying.enter_async_context(_guest(installation))  # has partitions now: the group has moved
                if number % 2 or chance.random() < 0.3:
                    await staying.aclose()
                    await running.clinic.completes(1)
            meanwhile = await installation.handled(GROUP) - before
        await running.clinic.completes(10)
        await running.followed_up()
    await running.ends_whole(f"{GUESTS} consumers joined followup's group, took partitions and left; {meanwhile} events were handled")
    assert meanwhile >= EVENTS_OF_A_VISIT * GUESTS // 2, "the group stood still meanwhile"


@asynccontextmanager
async def _guest(installation: Installation) -> AsyncIterator[None]:
    """A member of the group that takes its share of the partitions and does nothing with it."""
    guest = AIOKafkaConsumer(
        *READS[GROUP],
        bootstrap_servers=installation.broker.bootstrap,
        group_id=GROUP,
        enable_auto_commit=False,
        auto_offset_reset="none",
        heartbeat_interval_ms=500,
        partition_assignment_strategy=(assignor(),),
    )
    await guest.start()
    try:
        await eventually(partial(_has_a_share, guest), within=60)
        yield
    finally:
        await guest.stop()


async def _has_a_share(guest: AIOKafkaConsumer) -> bool:
    return bool(guest.assignment())
