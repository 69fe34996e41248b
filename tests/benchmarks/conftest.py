from collections.abc import AsyncIterator

import pytest_asyncio

from shared.clock import FrozenClock
from tests.conftest import NEW_YORK_MORNING
from tests.support.databases import Databases
from tests.support.house import Clinic, House, house_on


@pytest_asyncio.fixture(loop_scope="session")
async def house(databases: Databases) -> AsyncIterator[House]:
    async with house_on(databases, FrozenClock(NEW_YORK_MORNING)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def clinic(house: House) -> Clinic:
    return await house.clinic()
