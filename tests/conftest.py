"""Fixtures that every part of the suite may use."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from _pytest.terminal import TerminalReporter

from shared.clock import FrozenClock
from tests.support.broker import broker  # noqa: F401 - a fixture
from tests.support.databases import Databases, private_server

NEW_YORK_MORNING = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
"""A Monday, 09:00 in New York."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def databases() -> AsyncIterator[Databases]:
    """The worker's PostgreSQL server."""
    folder = Path(tempfile.mkdtemp(prefix="afterglow-test-"))
    async with private_server(folder) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def database_url(databases: Databases) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """``await database_url("intake")`` gives the URL of a fresh, migrated database of that service."""
    async with AsyncExitStack() as stack:

        async def fresh(service: str) -> str:
            return await stack.enter_async_context(databases.clone(service))

        yield fresh


@pytest.fixture
def clock() -> FrozenClock:
    """Business time that moves only when told."""
    return FrozenClock(NEW_YORK_MORNING)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say how many states of follow-up were walked through, over all parts of the walk."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    states = [value for report in reports for name, value in report.user_properties if name == "states"]
    if states:
        terminalreporter.write_line(f"follow-up in every order: {sum(states)} states")
