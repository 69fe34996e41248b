"""Kafka killed and frozen while a clinic works: the services go on accepting, and what waited is delivered once and in order."""

import time

import pytest

from tests.faults.installation import Installation
from tests.faults.report import Report
from tests.faults.scenario import Scenario, scenario, seconds

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

FROZEN_SECONDS = 30.0


async def test_broker_killed_and_started_again(installation: Installation, report: Report) -> None:
    await installation.start()
    async with scenario("broker kill -9", installation, report) as running:
        for _ in range(2):
            async with running.fault(completed=8):
                await installation.broker.kill()
                try:
                    await goes_on_without_events(running)
                finally:
                    await installation.broker.start_again()
            running.clinic.known_first = False
            await running.clinic.completes(5)
    await running.ends_whole("broker killed and started again, 2 x")


@pytest.mark.long
async def test_broker_frozen_for_half_a_minute(installation: Installation, report: Report) -> None:
    await installation.start()
    async with scenario("broker SIGSTOP", installation, report) as running:
        async with running.fault(completed=10):
            began = time.monotonic()
            await installation.broker.pause()
            try:
                await goes_on_without_events(running, count=10)
                await seconds(FROZEN_SECONDS - (time.monotonic() - began))
            finally:
                await installation.broker.unpause()
        running.clinic.known_first = False
        await running.clinic.completes(5)
    await running.ends_whole(f"broker frozen for {FROZEN_SECONDS:.0f} s")


async def goes_on_without_events(running: Scenario, count: int = 8) -> None:
    """Nobody who is newly admitted can be treated now, but all others can; and what is to be told of it waits."""
    running.clinic.known_first = True
    await running.clinic.completes(count)
    async with running.installation.superuser("sessions") as admin:
        pending = await admin.fetchval("SELECT count(*) FROM platform.outbox_pending")
    assert pending, "nothing waits: the broker was not away"
