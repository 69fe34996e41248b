from collections.abc import AsyncIterator

import pytest_asyncio

from tests.followup.checkins.world import World, emptied, world
from tests.followup.pages.browsing import PatientBrowser, app_of, browser

__all__ = ["emptied", "world"]


@pytest_asyncio.fixture(loop_scope="session")
async def client(world: World) -> AsyncIterator[PatientBrowser]:
    """A patient's browser, without JavaScript."""
    async with browser(app_of(world)) as made:
        yield made
