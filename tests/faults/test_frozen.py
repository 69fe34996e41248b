"""A process frozen in the midst of something for longer than anybody waits for it, and thawed when others have done its work."""

import time
from functools import partial

import pytest

from tests.faults.installation import SESSION_SECONDS, Installation
from tests.faults.report import Report
from tests.faults.scenario import scenario, seconds
from tests.faults.strikes import BEFORE_KAFKA_COMMIT, BEFORE_MARK, IN_THE_HANDLER, is_frozen
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("service", "failpoint"),
    [
        pytest.param("sessions", BEFORE_MARK, id="relay-that-holds-the-lock"),
        pytest.param("followup", IN_THE_HANDLER, id="consumer-in-its-transaction"),
        pytest.param("followup", BEFORE_KAFKA_COMMIT, id="consumer-after-its-transaction"),
    ],
)
async def test_a_frozen_process_is_replaced_and_does_no_harm_when_it_wakes(
    installation: Installation, report: Report, service: str, failpoint: str
) -> None:
    await installation.start()
    await installation.arm(service, [f"{failpoint}=stop@15"])  # before there is a second one: so the first one holds the relay's lock
    frozen = installation.one(service)
    await frozen.ready()
    await installation.add(service)
    async with scenario(f"{service} frozen at {failpoint}", installation, report) as running:
        await eventually(partial(is_frozen, frozen), within=120, every=0.05)
        async with running.fault(completed=10):
            began = time.monotonic()
            await running.clinic.completes(10)
            await running.followed_up()
            await seconds(2 * SESSION_SECONDS - (time.monotonic() - began))
            assert frozen.frozen, "it did not sleep through all of this"
            slept = time.monotonic() - began
            frozen.thaw()
        await running.clinic.completes(8)
    verdict = await running.ends_whole(f"{frozen.name} frozen at {failpoint} for {slept:.0f} s, session {SESSION_SECONDS:.0f} s")
    assert failpoint != BEFORE_MARK or verdict.absorbed, "nothing came twice: the relay did not sleep in its window"
    assert not frozen.deaths
