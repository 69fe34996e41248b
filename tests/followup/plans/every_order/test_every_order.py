"""Every order of what can happen, with time between, over the pure functions: what has to hold, holds. ``make exhaustive`` goes further."""

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.followup.plans.every_order.happenings import HAPPENINGS, Happening, told
from tests.followup.plans.every_order.planted import BUGS, Bug, plant
from tests.followup.plans.every_order.walk import LATE, NONE, PAUSES, Step, Walk
from tests.followup.plans.every_order.world import World

EXHAUSTIVE = os.environ.get("AFTERGLOW_EXHAUSTIVE") == "1"
PARTS = 6
"""The walk is cut by what happens second, so that its parts can run beside each other."""


@pytest.mark.timeout(3600 if EXHAUSTIVE else 120)
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_in_whatever_order_what_has_to_hold_holds(part: int, record_property: Callable[[str, object], None]) -> None:
    late, further = ((*LATE, PAUSES[-1]), PAUSES) if EXHAUSTIVE else (LATE, NONE)
    walk = Walk().walk(World(), Step([told], late), Step(HAPPENINGS[part::PARTS]), Step(HAPPENINGS), Step(HAPPENINGS, further))
    record_property("states", len(walk.states))
    assert not walk.violations, Counter(one.split(" [")[0] for one in walk.violations).most_common(10) + walk.violations[:3]


def test_facts_that_come_before_the_infusion_are_no_different() -> None:
    """The patient may have left, the course may have ended, before the infusion is heard of."""
    before: list[Happening] = [one for one in HAPPENINGS if one is not told]
    walk = Walk().walk(World(), Step(before), Step([told], LATE), Step(HAPPENINGS))
    assert not walk.violations, walk.violations[:3]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.rule)
def test_a_bug_in_each_rule_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(bug, monkeypatch)
    walk = Walk(stop_at_first=True).walk(World(), *[Step(bug.way, (*PAUSES, LATE[1]))] * (len(bug.way) + 1))
    assert bug.broken in {one.split(":")[0] for one in walk.violations}
