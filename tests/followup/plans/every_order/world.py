"""One patient in memory: facts, what exists, and a clock. Changes are applied as they stand, and time opens and ends items."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

from services.followup.plans.changes import Change, CoverChange
from services.followup.plans.entry_files import read_protocol, shipped_text
from services.followup.plans.facts import Course, Facts, Span
from services.followup.plans.pinned import Pinned
from services.followup.plans.plan import plan
from services.followup.plans.reconcile import reconcile
from services.followup.plans.stored import CALLS, Cover, CoverKind, Items, Stored
from services.followup.plans.wanted import Key, Plan, State

DENVER = ZoneInfo("America/Denver")
T0 = datetime(2027, 3, 3, 11, 30, tzinfo=DENVER).astimezone(UTC)
PATIENT, COURSE, FIRST, NEXT = (UUID(int=number) for number in (5, 9, 1, 2))

_END = """
- code: END
  does: check-in
  by: patient
  form: END
  anchor: course-end
  repeat: {days: [7, 14], source: test}
  opens: {at: "08:00", source: test}
  due: {from: opens, hours: 24, source: test}
  expires: {from: opens, hours: 72, source: test}

covers:"""


@cache
def protocols() -> Pinned:
    """What is shipped, and check-ins after the end of a course."""
    text = shipped_text("default-v2").replace("\ncovers:", _END, 1)
    return Pinned([read_protocol(text, {"C24", "C72", "WK", "END"})])


@lru_cache(maxsize=50_000)
def wanted(facts: Facts, now: datetime) -> Plan:
    """The plan, worked out once for all worlds with the same facts."""
    return plan(facts, protocols(), now)


@dataclass(frozen=True)
class World:
    """Where one patient stands."""

    now: datetime = T0
    facts: Facts = field(
        default_factory=lambda: Facts(
            PATIENT, DENVER, DENVER, courses=(Course(COURSE, (Span(T0 - timedelta(days=9)),), sessions_needed=1),)
        )
    )
    stored: frozenset[Stored] = frozenset()
    covers: tuple[Cover, ...] = ()
    texts: tuple[Key, ...] = ()
    """Links that have left."""

    @cached_property
    def items(self) -> Items:
        return Items({one.key: one for one in self.stored}, self.covers)

    def by_key(self, key: Key) -> Stored | None:
        return self.items.stored.get(key)

    def with_item(self, item: Stored) -> "World":
        return replace(self, stored=frozenset(one for one in self.stored if one.key != item.key) | {item})


@dataclass(frozen=True)
class Run:
    """One comparison: the world before it, the changes, and the world after."""

    before: World
    wanted: Plan
    changes: Sequence[Change]
    after: World
    by_time: bool


def changes_of(world: World) -> Sequence[Change]:
    """What is to be written."""
    return reconcile(world.items, wanted(world.facts, world.now), world.now)


def compare(world: World, *, by_time: bool) -> Run:
    """Work out the plan, and apply the difference."""
    changes = changes_of(world)
    return Run(world, wanted(world.facts, world.now), changes, _apply(world, changes), by_time)


def _apply(world: World, changes: Sequence[Change]) -> World:
    items, covers = {one.key: one for one in world.stored}, list(world.covers)
    for change in changes:
        if not isinstance(change, CoverChange):
            items[change.after.key] = change.after
        elif change.before is None:
            covers.append(change.after)
        else:
            covers[covers.index(change.before)] = change.after
    return replace(world, stored=frozenset(items.values()), covers=tuple(covers))


def go_on(world: World, until: datetime) -> list[Run]:
    """Let time pass: items open and end, and the patient is compared at each wake."""
    runs: list[Run] = []
    while True:
        wake = wanted(world.facts, world.now).wake
        at = min(wake, until) if wake else until
        run = compare(live(replace(world, now=at)), by_time=True)
        runs.append(run)
        world = run.after
        if at == until:
            return runs


def live(world: World) -> World:
    """What time does to items by itself."""
    for item in sorted(world.stored, key=lambda one: one.key):
        if item.is_open:
            world = _aged(world, item)
    return world


def _aged(world: World, item: Stored) -> World:
    now = world.now
    if item.state is State.PLANNED and (item.times.opens_at is None or item.times.opens_at <= now):
        item = replace(item, state=State.ASKED)
        if not item.is_task and not item.sent:
            item = replace(item, sent=True)
            world = replace(world, texts=(*world.texts, item.key))
    if item.times.due_at < now and not item.is_task:
        world = _overdue(world, item)
    if item.times.expires_at is not None and item.times.expires_at < now:
        item = replace(item, state=State.EXPIRED)
    return world.with_item(item)


def _overdue(world: World, item: Stored) -> World:
    if any(cover.kind in CALLS and cover.stands and item.key in cover.covers for cover in world.covers):
        return world
    number = 1 + sum(cover.kind is CoverKind.OVERDUE for cover in world.covers)
    return replace(world, covers=(*world.covers, Cover(CoverKind.OVERDUE, number, frozenset({item.key}), "not-answered")))
