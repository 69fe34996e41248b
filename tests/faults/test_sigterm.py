"""SIGTERM while a clinic works: each service finishes what it has begun within its grace, says goodbye, and repeats nothing."""

import pytest

from tests.faults.clinic import UNDER_WAY
from tests.faults.installation import Installation
from tests.faults.report import Report
from tests.faults.scenario import scenario

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

GRACE_SECONDS = 28.0
"""What an orchestrator must give (``stop_grace_period`` of the compose file: 30 s); after it the process would end itself."""
ROUNDS = 2


async def test_sigterm_under_load(installation: Installation, report: Report) -> None:
    await installation.start()
    longest = 0.0
    async with scenario("SIGTERM", installation, report) as running:
        for process in installation.all() * ROUNDS:
            async with running.fault(answered=UNDER_WAY + 1):
                took, code = await process.stop()
                assert code == 0, f"{process.name} ended with {code}"
                longest = max(longest, took)
                await process.start()
                await process.ready()
            await running.clinic.completes(3)
    verdict = await running.ends_whole(f"SIGTERM to each service, {ROUNDS} x; the longest stop took {longest:.1f} s")
    assert longest < GRACE_SECONDS
    assert verdict.absorbed == 0, "a clean stop left something unmarked"
    assert not installation.errors()
