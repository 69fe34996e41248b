"""Fixtures of the fault scenarios, and the table that a run of them ends with."""

import logging
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.installation import Installation, installed
from tests.faults.report import Report
from tests.faults.servers import DurableServer
from tests.support.broker import Broker
from tests.support.fixtures import kafka, local, pipeline

__all__ = ["kafka", "local", "pipeline"]

_REPORT = pytest.StashKey[Report]()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Where a scenario says what it injects, and leaves its line of the table."""
    found = request.config.stash.setdefault(_REPORT, Report())
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert terminal is not None
    assert capture is not None

    def tell(line: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(line)

    found.tell = tell
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(_REPORT, None)
    if found is not None and found.outcomes:
        terminalreporter.write_sep("=", "faults")
        terminalreporter.write(found.table(max(terminalreporter._tw.fullwidth, 140)))  # noqa: SLF001 - there is no public width


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def durable_server() -> AsyncIterator[DurableServer]:
    """The run's PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="afterglow-faults-"))
    server = DurableServer(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def installation(durable_server: DurableServer, broker: Broker, tmp_path: Path) -> AsyncIterator[Installation]:
    """A fresh installation, not started."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    async with installed(durable_server, broker, tmp_path) as fresh:
        yield fresh
