"""Bugs that were planted in the services, each one caught by the checker of the scenarios: its zeros are worth something.

Every bug is hit by the one fault that its guard is for, and whether the fault struck in its window is asserted. The same faults leave
the product as it is whole: those are the scenarios themselves.
"""

from functools import partial

import pytest

from tests.faults.checker import Verdict, quiet
from tests.faults.clinic import UNDER_WAY
from tests.faults.installation import Installation
from tests.faults.report import Report
from tests.faults.scenario import scenario
from tests.faults.strikes import BEFORE_MARK, is_frozen, killed_at_each, killed_once
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

PLANTED = "planted"
"""The window that a bug has opened by itself."""


@pytest.mark.parametrize(
    ("bug", "service", "window", "caught"),
    [
        pytest.param("no-inbox", "followup", BEFORE_MARK, "doubled"),
        pytest.param("mark-before-acknowledgement", "sessions", PLANTED, "lost", marks=pytest.mark.long),
        pytest.param("offset-before-effects", "followup", PLANTED, "lost"),
        pytest.param("fired-before-effects", "followup", PLANTED, "lost", marks=pytest.mark.long),
        pytest.param("no-idempotency-key", "sessions", PLANTED, "doubled"),
        pytest.param("outbox-outside-the-transaction", "sessions", PLANTED, "lost", marks=pytest.mark.long),
        pytest.param("dual-write", "sessions", PLANTED, "lost", marks=pytest.mark.long),
    ],
)
async def test_a_planted_bug_is_caught(
    installation: Installation, report: Report, bug: str, service: str, window: str, caught: str
) -> None:
    await installation.start(bugs={service: bug})
    doomed = "sessions" if window == BEFORE_MARK else service
    async with scenario(f"planted: {bug}", installation, report, wanted="caught") as running:
        await installation.arm(doomed, [f"{window}=kill@4"] * 2)
        await killed_once(installation.one(doomed))
        async with running.fault(answered=UNDER_WAY + 1):
            await killed_at_each(installation.one(doomed), 2)
        await running.clinic.completes(5)
    verdict = await running.verdict(f"{doomed} killed 2 x at {window}")
    assert window != BEFORE_MARK or verdict.absorbed >= 2, "nothing came twice: the window was not hit"
    assert _found(verdict) == {caught}, verdict


@pytest.mark.long
async def test_a_zombie_without_inbox_and_compare_and_set_is_caught(installation: Installation, report: Report) -> None:
    await installation.start(bugs={"followup": "neither"})
    zombie = installation.one("followup")
    await installation.arm("followup", [f"{PLANTED}=stop@5"])
    await zombie.ready()
    async with scenario("planted: neither", installation, report, wanted="caught") as running:
        await eventually(partial(is_frozen, zombie), within=120, every=0.05)
        async with running.fault(completed=10):
            await installation.add("followup")  # not before: of two members it might be the other one that reads about infusions
            await running.clinic.completes(10)
            await running.followed_up()
            assert zombie.frozen, "it woke before another one had done its work"
            zombie.thaw()
        await running.clinic.completes(5)
    verdict = await running.verdict("followup frozen before it handles the end of an infusion, thawed when another had done it")
    assert _found(verdict) == {"doubled"}, verdict


@pytest.mark.long
async def test_a_fenced_partition_that_is_dropped_is_caught(installation: Installation, report: Report) -> None:
    await installation.start(bugs={"followup": "fenced-partition-dropped"})
    async with scenario("planted: fenced-partition-dropped", installation, report, wanted="caught") as running:
        await eventually(partial(_logged, installation, "planted.dropped"), within=120, every=0.2)
        async with running.fault(completed=10):  # it lasts: nothing brings the partition back
            await running.clinic.completes(10)
    with pytest.raises(AssertionError, match="followup lag"):
        await quiet(installation, within=15)
    verdict = await running.judged("the answer of every 12th commit lost", 15)
    assert verdict.lost
    assert not verdict.doubled, verdict


@pytest.mark.long
async def test_lost_answers_to_commits(installation: Installation, report: Report) -> None:
    await installation.start(bugs={"followup": "lost-answers"})
    async with scenario("commit answers lost", installation, report) as running:
        await eventually(partial(_logged, installation, "kafka.fenced"), within=120, every=0.2)
        async with running.fault(completed=10):  # as long as somebody looks: it goes on for ever
            await running.clinic.completes(10)
            await running.followed_up()
            await eventually(partial(_logged, installation, "kafka.fenced"), lambda times: times >= 3, within=120, every=0.2)
    fenced = installation.logged("followup", "kafka.fenced")
    await running.ends_whole(f"the answer of every 12th commit of followup's consumer lost; fenced {fenced} x and healed")


async def _logged(installation: Installation, event: str) -> int:
    return installation.logged("followup", event)


def _found(verdict: Verdict) -> set[str]:
    return {name for name in ("lost", "doubled") if getattr(verdict, name)}
