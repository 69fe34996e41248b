"""PostgreSQL ended at once while a clinic works: every connection breaks, commits among them whose answer nobody hears."""

import pytest

from tests.faults.installation import Installation
from tests.faults.report import Report
from tests.faults.scenario import scenario
from tests.faults.servers import DurableServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

RESTARTS = 6


async def test_postgres_restarted_at_once(installation: Installation, durable_server: DurableServer, report: Report) -> None:
    await installation.start()
    async with scenario("postgres restart", installation, report) as running:
        async with running.fault(completed=3 * (RESTARTS - 1), refused=RESTARTS):
            away = await durable_server.restart_at_once()
            for _ in range(RESTARTS - 1):
                await running.clinic.completes(3)
                away += await durable_server.restart_at_once()
        await running.clinic.completes(3)
    await running.ends_whole(f"PostgreSQL restarted with -m immediate, {RESTARTS} x, {away:.1f} s away in all")
    assert not any(process.deaths for process in installation.all()), "a service did not outlive its database's restart"
