"""Bugs that were planted in the services, each one caught by the checker of the scenarios: its zeros are worth something.

Every bug is hit by the one fault that its guard is for, and whether the fault struck in its window is asserted. The same faults leave
the product as it is whole: those are the scenarios themselves.
"""

import pytest

from tests.faults.installation import Installation
from tests.faults.report import Report
from tests.faults.scenario import scenario
from tests.faults.test_kills import BEFORE_MARK, killed_at_each

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

PLANTED = "planted"
"""The window that a bug has opened by itself."""


@pytest.mark.parametrize(
    ("bug", "service", "window", "caught"),
    [
        pytest.param("no-inbox", "followup", BEFORE_MARK, "doubled"),
        pytest.param("mark-before-acknowledgement", "sessions", PLANTED, "lost", marks=pytest.mark.long),
        pytest.param("offset-before-effects", "followup", PLANTED, "lost"),
        pytest.param("outbox-outside-the-transaction", "sessions", PLANTED, "lost", marks=pytest.mark.long),
        pytest.param("dual-write", "sessions", PLANTED, "lost", marks=pytest.mark.long),
    ],
)
async def test_a_planted_bug_is_caught(
    installation: Installation, report: Report, bug: str, service: str, window: str, caught: str
) -> None:
    await installation.start(bugs={service: bug})
    async with scenario(f"planted: {bug}", installation, report, wanted="caught") as running, running.fault():
        doomed = "sessions" if window == BEFORE_MARK else service
        await installation.arm(doomed, [f"{window}=kill@4"] * 2)
        await killed_at_each(installation.one(doomed), 2)
        await running.clinic.completes(5)
    verdict = await running.verdict(f"{doomed} killed 2 x at {window}")
    assert window != BEFORE_MARK or verdict.absorbed >= 2, "nothing came twice: the window was not hit"
    assert {name for name in ("lost", "doubled") if getattr(verdict, name)} == {caught}, verdict
