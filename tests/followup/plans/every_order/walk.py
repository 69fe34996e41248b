"""The walk through every order of so many happenings, with time between."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from services.followup.plans.facts import Facts
from services.followup.plans.wanted import Key
from tests.followup.plans.every_order.happenings import Happening
from tests.followup.plans.every_order.properties import PROPERTIES
from tests.followup.plans.every_order.world import Run, World, compare, go_on

NONE = (timedelta(),)
PAUSES = (*NONE, timedelta(hours=22), timedelta(days=9))
"""None; C24 has been asked and is not due; a week has been asked, and what followed the infusion has expired."""

LATE = (*NONE, timedelta(hours=54))
"""How late the first infusion is heard of: not; or on Friday evening, when C24 is past due and C72 is not."""

AFTERWARDS = timedelta(days=3)

Way = tuple[str, ...]


class Step(NamedTuple):
    """After one of these pauses one of these happens."""

    happenings: Sequence[Happening]
    pauses: Sequence[timedelta] = PAUSES


@dataclass
class Walk:
    """What was seen on the way, and what was not as it has to be."""

    stop_at_first: bool = False
    states: set[World] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    _in_time: dict[tuple[Facts, datetime, Key], object] = field(default_factory=dict)

    def walk(self, start: World, *steps: "Step") -> "Walk":
        """Everything that can happen from here in these steps, and a pause afterwards."""
        layer: dict[World, Way] = {start: ()}
        for step in steps:
            layer = self._step(layer, step)
        for world, way in layer.items():
            self._wait(world, AFTERWARDS, way)
            if self._is_enough:
                break
        return self

    @property
    def _is_enough(self) -> bool:
        return self.stop_at_first and bool(self.violations)

    def _step(self, layer: dict[World, Way], step: "Step") -> dict[World, Way]:
        following: dict[World, Way] = {}
        for world, way in layer.items():
            for pause in step.pauses:
                self._happen(self._wait(world, pause, way), (*way, f"{pause}"), step.happenings, following)
            if self._is_enough:
                break
        return following

    def _happen(self, world: World, way: Way, happenings: Iterable[Happening], following: dict[World, Way]) -> None:
        for happening in happenings:
            changed = happening(world)
            if changed is not None:
                run = compare(changed, by_time=False)
                if run.after not in self.states:
                    self._check(run, (*way, happening.__name__))
                    following[run.after] = (*way, happening.__name__)

    def _wait(self, world: World, pause: timedelta, way: Way) -> World:
        if not pause:
            return world
        for run in go_on(world, world.now + pause):
            if run.after not in self.states:
                self._check(run, (*way, f"{pause}"))
        return run.after

    def _check(self, run: Run, way: Sequence[str]) -> None:
        self.states.add(run.after)
        for holds in PROPERTIES:
            self.violations += [f"{holds.__name__}: {fault} [{' '.join(way)}]" for fault in holds(run)]
        self.violations += [f"same_in_any_order: {fault} [{' '.join(way)}]" for fault in self._other_order(run)]

    def _other_order(self, run: Run) -> Iterable[str]:
        """(c) What is wanted and in time is the same in any order of facts."""
        now, facts = run.after.now, run.after.facts
        for want in run.wanted.wanted.values():
            item = run.after.by_key(want.key)
            if item and item.is_open and want.is_open and want.times.due_at >= now and not (item.settled or want.counts_from_making):
                seen = item.times, item.is_task, item.offered
                if self._in_time.setdefault((facts, now, want.key), seen) != seen:
                    yield f"{want.key.code} depends on the order"
