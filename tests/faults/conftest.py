"""Fixtures of the fault scenarios, and the table that a run of them ends with."""

import logging
import shutil
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.installation import Installation, installed
from tests.faults.limits import Watch
from tests.faults.report import Report
from tests.faults.servers import DurableServer
from tests.support.broker import Broker
from tests.support.fixtures import kafka, local, pipeline

__all__ = ["kafka", "local", "pipeline"]

RUN_SECONDS = 4800.0
"""How long a run may take: twice what it does take on two cores, and a half more."""
_REPORT = pytest.StashKey[Report]()
_WATCH = pytest.StashKey[Watch]()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Where a scenario says what it injects, and leaves its line of the table. The first one begins the watch over the run."""
    if _WATCH not in request.config.stash:
        watch = request.config.stash[_WATCH] = Watch(RUN_SECONDS, partial(_tell, request.config), request.node.nodeid)
        watch.begin()
    found = request.config.stash.setdefault(_REPORT, Report())
    found.tell = partial(_tell, request.config)
    return found


def _tell(config: pytest.Config, line: str) -> None:
    """On the terminal at once, past the capture."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    assert terminal is not None
    assert capture is not None
    with capture.global_and_fixture_disabled():
        terminal.ensure_newline()
        terminal.write_line(line)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if _WATCH in item.config.stash:
        item.config.stash[_WATCH].scenario = item.nodeid


def pytest_unconfigure(config: pytest.Config) -> None:
    if _WATCH in config.stash:
        config.stash[_WATCH].end()


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
