"""The disk of PostgreSQL full while a clinic works: what cannot be kept is refused, and all comes back by itself once there is room."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.clinic import System
from tests.faults.installation import Installation, installed
from tests.faults.report import Report
from tests.faults.scenario import scenario, seconds
from tests.faults.small_disk import SmallDiskServer
from tests.support.broker import Broker
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

FULL_SECONDS = 10.0


@pytest_asyncio.fixture(loop_scope="session")
async def small() -> AsyncIterator[SmallDiskServer]:
    """A PostgreSQL of this test alone."""
    server = SmallDiskServer()
    await server.start()
    try:
        yield server
    finally:
        await server.remove()


@pytest.mark.long
async def test_disk_full(small: SmallDiskServer, broker: Broker, tmp_path: Path, report: Report) -> None:
    async with installed(small, broker, tmp_path) as installation:
        await installation.start()
        async with scenario("disk full", installation, report) as running:
            async with running.fault(refused=10):
                await small.fill()
                refused_before = len(running.clinic.system.refused)
                await eventually(partial(_refused, running.clinic.system), lambda count: count >= refused_before + 10, within=120)
                await seconds(FULL_SECONDS)
                await small.give_space()
            await running.clinic.completes(10)
            await running.followed_up()
        # What is refused is not done; whether what was called done is there, the checker says.
        await running.ends_whole("no space left for PostgreSQL's data and log")
        _assert_that_services_outlived_it(installation)


async def _refused(system: System) -> int:
    return len(system.refused)


def _assert_that_services_outlived_it(installation: Installation) -> None:
    assert not any(process.deaths for process in installation.all())
    assert not installation.errors()
