"""kill -9 of services while a clinic works: at every failpoint, and at random moments.

What was acknowledged is there, each event has its effect once and in order, whoever was killed wherever.
"""

import random
from functools import partial

import pytest

from tests.faults.clinic import UNDER_WAY
from tests.faults.installation import Installation
from tests.faults.processes import ServiceProcess
from tests.faults.report import Report
from tests.faults.scenario import SEED, scenario, seconds
from tests.faults.strikes import (
    AFTER_THE_TIMER,
    BEFORE_ANSWER,
    BEFORE_COMMIT,
    BEFORE_KAFKA_COMMIT,
    BEFORE_MARK,
    BEFORE_PUBLISH,
    IN_THE_HANDLER,
    IN_THE_TIMER,
    killed_at_each,
    killed_once,
)
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

WHERE = [
    ("sessions", BEFORE_COMMIT),
    ("sessions", BEFORE_ANSWER),
    ("sessions", BEFORE_PUBLISH),
    ("sessions", BEFORE_MARK),
    ("followup", IN_THE_HANDLER),
    ("followup", BEFORE_KAFKA_COMMIT),
    ("followup", IN_THE_TIMER),
    ("followup", AFTER_THE_TIMER),
]
MEANWHILE = {"sessions": {"answered": UNDER_WAY + 1}, "followup": {"completed": 10}}
"""Work under the fault, by whom it strikes: while sessions is away, admissions go on; while followup is, so do visits."""
ASKED_IN_VAIN = {"asked": 2 * UNDER_WAY}
"""Where each commit counts, events may be all that sessions commits before it dies again: everybody asks, and nobody need be answered."""


@pytest.mark.long
@pytest.mark.parametrize(("service", "failpoint"), WHERE)
async def test_kill_at_a_failpoint(installation: Installation, report: Report, service: str, failpoint: str) -> None:
    await installation.start()
    async with scenario(f"kill -9 at {failpoint}", installation, report) as running:
        await installation.arm(service, [f"{failpoint}=kill@{_passing(failpoint)}"] * 3)
        await killed_once(installation.one(service))
        async with running.fault(**(ASKED_IN_VAIN if failpoint == BEFORE_COMMIT else MEANWHILE[service])):
            await killed_at_each(installation.one(service), 3)
        await running.clinic.completes(10)
    verdict = await running.ends_whole(f"{service} killed 3 x at {failpoint}")
    assert failpoint != BEFORE_MARK or verdict.absorbed >= 3, "nothing came twice: the window was not hit"
    assert failpoint != BEFORE_ANSWER or len(running.clinic.system.told_again) >= 3, "nobody missed an answer: the window was not hit"


async def test_kill_at_every_failpoint_of_one_day(installation: Installation, report: Report) -> None:
    await installation.start()
    plan = {service: [f"{point}=kill@{_passing(point)}" for own, point in WHERE if own == service] for service in ("sessions", "followup")}
    async with scenario("kill -9 at each failpoint", installation, report) as running:
        for service, points in plan.items():
            await installation.arm(service, points)
        await killed_once(*map(installation.one, plan))
        async with running.fault(answered=20):
            for service, points in plan.items():
                await killed_at_each(installation.one(service), len(points))
        await running.clinic.completes(10)
    verdict = await running.ends_whole(f"killed at {', '.join(point for _, point in WHERE)}")
    assert verdict.absorbed, "nothing came twice: the window between acknowledgement and mark was not hit"
    assert running.clinic.system.told_again, "nobody missed an answer: the window between commit and answer was not hit"


async def test_kill_at_random(installation: Installation, report: Report) -> None:
    await installation.start()
    for service in ("sessions", "followup"):
        await installation.add(service)
    chance = random.Random(SEED)
    async with scenario("kill -9 at random", installation, report) as running:
        async with running.fault(answered=14 * 3):
            for _ in range(14):
                victim = chance.choice(installation.all("sessions", "followup", "sessions", "followup", "intake"))
                await eventually(partial(was_killed, victim), within=60)
                await seconds(chance.uniform(0.3, 1.5))
                await running.clinic.gets_done(3)  # it is at work when the next kill strikes
        await running.clinic.completes(10)
    kills = {process.name: process.kills for process in installation.all()}
    await running.ends_whole("killed " + ", ".join(f"{name} {count} x" for name, count in kills.items() if count))
    assert sum(kills.values()) == 14


def _passing(failpoint: str) -> int:
    """At which passing it strikes: in the midst of things, but timers fire in few rounds."""
    return 2 if failpoint.startswith("timers.") else 6


async def was_killed(process: ServiceProcess) -> bool:
    """One that is being started again cannot be killed yet."""
    return process.kill()
