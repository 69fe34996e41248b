"""People's work that owns what the machine cannot do: made and ended by what becomes of the items, never by the plan."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.followup.plans.anchors import DUPLICATE, NO_DRUG, VOID
from services.followup.plans.changes import CoverChange, CoverStep
from services.followup.plans.stored import CALLS, PAST_DUE, Cover, CoverKind, Stored
from services.followup.plans.wanted import OPEN, Key, Plan, State

NEVER_WAS = frozenset({NO_DRUG, VOID, DUPLICATE})
"""Reasons for which a call that silence raised ends too: there was nothing to ask about."""
NOT_NEEDED = "not-needed"
"""Why a cover ends: nothing that it lists needs it any more."""


@dataclass(frozen=True, slots=True)
class Raised:
    """One item, as it becomes, that needs a cover of this kind from now on."""

    kind: CoverKind
    item: Stored


def cover_changes(covers: Sequence[Cover], items: Mapping[Key, Stored], raised: Sequence[Raised], plan: Plan) -> list[CoverChange]:
    """What becomes of the covers there are, and the new ones."""
    changes = []
    standing: list[Cover] = []
    for cover in covers:
        change = _kept_up(cover, items, plan) if cover.open else None
        changes += [change] if change else []
        standing += [change.after if change else cover]
    return changes + _raised(standing, raised, plan)


def _kept_up(cover: Cover, items: Mapping[Key, Stored], plan: Plan) -> CoverChange | None:
    """An open cover ends when the patient's standing does not leave it, or when nothing that it lists needs it.

    What silence raised is an occurrence: it ends by itself, or by the first of these.
    """
    terms = plan.covers.get(cover.kind.value)
    if terms and terms.ends_because:
        return CoverChange(CoverStep.END, cover, replace(cover, open=False), terms.ends_because)
    if cover.kind is CoverKind.OVERDUE:
        untrue = {plan.ended(key) for key in cover.covers}
        if untrue <= NEVER_WAS and not cover.lists_more:
            return CoverChange(CoverStep.END, cover, replace(cover, open=False), min(filter(None, untrue)))
        return None
    if not cover.lists_more and not any(_needs(cover, key, items) for key in cover.covers):
        return CoverChange(CoverStep.END, cover, replace(cover, open=False), NOT_NEEDED)
    return _moved_with_its_item(cover, items)


def _needs(cover: Cover, key: Key, items: Mapping[Key, Stored]) -> bool:
    """Whether an item needs this cover. One that was not read is not judged. An expired one still needs its call."""
    item = items.get(key)
    if item is None:
        return True
    if cover.kind is CoverKind.CATCH_UP:
        return item.state is State.NOT_ASKED and item.reason == PAST_DUE
    if cover.kind is CoverKind.CALLED_OFF:
        return item.state is State.CANCELLED and item.reason == cover.reason
    unanswered = item.state in OPEN or item.state is State.EXPIRED
    return unanswered and (cover.kind is not CoverKind.DUE_REVIEW or item.refused is not None)


def _moved_with_its_item(cover: Cover, items: Mapping[Key, Stored]) -> CoverChange | None:
    """A call in place of a dead link is due with what it asks."""
    if cover.kind is not CoverKind.TELEPHONE:
        return None
    due_at = min((items[key].times.due_at for key in cover.covers if key in items), default=cover.due_at)
    return CoverChange(CoverStep.MOVE, cover, replace(cover, due_at=due_at)) if due_at != cover.due_at else None


def _raised(covers: Sequence[Cover], raised: Sequence[Raised], plan: Plan) -> list[CoverChange]:
    changes: list[CoverChange] = []
    numbers = _Numbers(covers, plan)
    called_about = {key for cover in covers if cover.kind in CALLS and cover.stands for key in cover.covers}
    calls = [one for one in raised if one.kind in CALLS and one.item.key not in called_about]
    missed = frozenset(one.item.key for one in calls if one.kind is CoverKind.CATCH_UP)
    if missed:
        changes.append(_call_about(covers, missed, numbers))
    by_telephone = [one.item for one in calls if one.kind is CoverKind.TELEPHONE]
    changes += [numbers.make(CoverKind.TELEPHONE, {item.key}, "asked-after-all", item.times.due_at) for item in by_telephone]
    return changes + [numbers.make(kind, keys, reason) for (kind, reason), keys in _grouped(raised).items()]


def _call_about(covers: Sequence[Cover], missed: frozenset[Key], numbers: "_Numbers") -> CoverChange:
    """One call lists all that was missed: later misses join the one that is open."""
    for cover in covers:
        if cover.kind is CoverKind.CATCH_UP and cover.open:
            return CoverChange(CoverStep.JOIN, cover, replace(cover, covers=cover.covers | missed))
    return numbers.make(CoverKind.CATCH_UP, missed, "heard-late")


def _grouped(raised: Iterable[Raised]) -> Mapping[tuple[CoverKind, str], set[Key]]:
    """Reviews: one for all that kept its due time, one for each reason for which something was called off."""
    groups: dict[tuple[CoverKind, str], set[Key]] = defaultdict(set)
    for one in raised:
        if one.kind is CoverKind.DUE_REVIEW:
            groups[one.kind, "due-kept"].add(one.item.key)
        elif one.kind is CoverKind.CALLED_OFF:
            groups[one.kind, one.item.reason or ""].add(one.item.key)
    return groups


class _Numbers:
    """Covers of a kind are counted for a patient, so that each has a name of its own, whatever told of it."""

    def __init__(self, covers: Iterable[Cover], plan: Plan) -> None:
        self._plan = plan
        self._last: dict[CoverKind, int] = defaultdict(int)
        for cover in covers:
            self._last[cover.kind] = max(self._last[cover.kind], cover.number)

    def make(self, kind: CoverKind, keys: Iterable[Key], reason: str, due_at: datetime | None = None) -> CoverChange:
        """A new cover with the next number, due with what it covers or as long after now as the protocol says."""
        self._last[kind] += 1
        due_at = due_at or self._plan.covers[kind.value].due_at
        return CoverChange(CoverStep.MAKE, None, Cover(kind, self._last[kind], frozenset(keys), reason, due_at=due_at))
