"""What has to hold after every comparison, whatever happened and in whatever order. Each gives the letter and what is not so."""

from collections.abc import Callable, Iterator

from services.followup.plans.anchors import DUPLICATE, NO_DRUG, VOID
from services.followup.plans.changes import CoverChange, CoverStep, ItemChange, Step
from services.followup.plans.stored import CALLS, PAST_DUE, Cover, CoverKind, Stored
from services.followup.plans.wanted import Key, State, Wanted
from tests.followup.plans.every_order.world import Run, World, changes_of, protocols

LISTED = {
    "patient-deceased", "patient-transferred", "patient-withdrawn", "treatment-consent-revoked", "no-drug-given",
    "infusion-entered-in-error", "held-as-duplicate",
}  # fmt: skip
UNTRUE = LISTED | {"record-corrected", "course-still-ran"}
ENDED_FOR_GOOD = {State.DONE, State.EXPIRED}
ENDED_BY_THE_MACHINE = {State.SUPERSEDED, State.CANCELLED, State.NOT_ASKED}


NEVER_WAS = frozenset({NO_DRUG, VOID, DUPLICATE})
"""Of an infusion that gave nothing, or never was, nobody asks any more why it stayed silent."""


def whole(run: Run) -> Iterator[str]:
    """(a) The set of a finished infusion is whole, and what is not asked has an owner."""
    items = run.after.items.stored
    for key, want in run.wanted.wanted.items():
        if key not in items and not want.made_when_it_opens and want.called_about_when_late:
            yield f"{key.code} is not there"
        item = items.get(key)
        if item and want.is_open and item.state is State.NOT_ASKED and not _called_about(run.after, key):
            yield f"nobody calls about {key.code}"
        if item and want.is_open and item.state in ENDED_BY_THE_MACHINE and item.reason in UNTRUE and want.called_about_when_late:
            yield f"{key.code} still says {item.reason}, which is not so"
        if item and key not in run.before.items.stored:
            yield from _wrongly_made(item, want, run)


def _wrongly_made(item: Stored, want: Wanted, run: Run) -> Iterator[str]:
    if not item.is_open and not want.called_about_when_late:
        yield f"{want.key.code} is made as {item.state}, and nobody would call about it"
    if want.made_when_it_opens and want.times.opens_at and want.times.opens_at > run.after.now:
        yield f"{want.key.code} is made before it opens"


def one_call(run: Run) -> Iterator[str]:
    """(b) One item per key, one call per matter."""
    if len(run.after.items.stored) != len(run.after.stored):
        yield "a key twice"
    open_calls = [cover for cover in run.after.covers if cover.open and cover.kind in CALLS]
    if len([key for cover in open_calls for key in cover.covers]) != len({key for cover in open_calls for key in cover.covers}):
        yield "two calls about the same"
    if sum(cover.kind is CoverKind.CATCH_UP for cover in open_calls) > 1:
        yield "two catch-up calls"
    if len({(cover.kind, cover.number) for cover in run.after.covers}) != len(run.after.covers):
        yield "two covers of one number"


def nothing_unkept(run: Run) -> Iterator[str]:
    """(d) Nothing is open that a death or a departure does not keep."""
    causes = {one.cause for one in run.after.facts.present_absences()}
    protocol = protocols().default
    entries = {entry.code: entry for entry in protocol.items}
    for item in run.after.stored:
        entry = entries[item.key.code]
        if item.is_open and not causes <= entry.stays_after | entry.offered_after:
            yield f"{item.key.code} is open after {sorted(causes)}"
        if item.is_open and bool(causes & entry.offered_after) is not item.offered:
            yield f"{item.key.code} is {'offered' if item.offered else 'chased'}"
    for cover in run.after.covers:
        if cover.open and not causes <= protocol.covers[cover.kind].stays_after:
            yield f"{cover.kind} is open after {sorted(causes)}"


def no_due_in_the_past(run: Run) -> Iterator[str]:
    """(e) No due time moves into the past, and nothing is made or restored that is past due."""
    for change in run.changes:
        if not isinstance(change, ItemChange) or not change.after.is_open or change.after.times.due_at >= run.after.now:
            continue
        if change.before is None or not change.before.is_open or change.before.times.due_at != change.after.times.due_at:
            yield f"{change.step} {change.after.key.code} into the past"


def what_stays(run: Run) -> Iterator[str]:
    """(f) What is done or expired stays as it is; a time that a person settled stays while the item is open."""
    for before in run.before.stored:
        after = run.after.by_key(before.key)
        if after is None:
            yield f"{before.key.code} is lost"
        elif before.state in ENDED_FOR_GOOD and after != before:
            yield f"{before.key.code} was {before.state} and is changed"
        elif before.settled and before.is_open and after.is_open and after.times != before.times:
            yield f"{before.key.code} was settled and is moved"
        elif before.key not in run.wanted.wanted and run.wanted.ended(before.key) is None and after != before:
            yield f"the plan does not name {before.key.code}, and it is changed"


def at_rest(run: Run) -> Iterator[str]:
    """(g) A second run changes nothing."""
    for change in changes_of(run.after):
        yield f"again {change.step} of {change.after}"


def called_off_is_listed(run: Run) -> Iterator[str]:
    """(h) What is called off is listed for a person; what was owned by a call that falls, too."""
    for change in run.changes:
        if isinstance(change, ItemChange) and change.after.state is State.CANCELLED and change.after.reason in LISTED:
            was_owned = change.before is None or change.before.is_open or _open_cover_lists(run.before, change.after.key)
            if was_owned and not any(_lists(cover, change.after) for cover in run.after.covers):
                yield f"{change.after.key.code} was called off and nobody looks"


def in_time_is_open(run: Run) -> Iterator[str]:
    """(i) What is wanted and in time is open, as it is wanted."""
    for want in run.wanted.wanted.values():
        if _in_time(want, run.after):
            item = run.after.by_key(want.key)
            if item is None or (not item.is_open and item.state not in ENDED_FOR_GOOD):
                yield f"{want.key.code} is in time and {item.state if item else 'not there'}"
            elif item.is_open and not _as_wanted(item, want):
                yield f"{want.key.code} is open otherwise than wanted"


def nothing_wanted_ends(run: Run) -> Iterator[str]:
    """(j) Nothing that is wanted is called off, and nothing is open that is not."""
    for item in run.after.stored:
        want = run.wanted.wanted.get(item.key)
        before = run.before.by_key(item.key)
        if before and before.is_open and not item.is_open and want and want.is_open:
            yield f"{item.key.code} was wanted and is {item.state}"
        if item.is_open and (not want.is_open if want else run.wanted.ended(item.key) is not None):
            yield f"{item.key.code} is open and not wanted"
        if want and not want.is_open and item.state in ENDED_BY_THE_MACHINE and (item.state, item.reason) != (want.state, want.reason):
            yield f"{item.key.code} says {item.reason} in place of {want.reason}"


def time_alone(run: Run) -> Iterator[str]:
    """(k) Time alone only makes, misses and covers."""
    for change in run.changes if run.by_time else ():
        if isinstance(change, ItemChange):
            allowed = change.step in (Step.MAKE, Step.MISS) and not (change.before and change.before.is_open)
        else:
            allowed = change.step in (CoverStep.MAKE, CoverStep.JOIN)
        if not allowed:
            yield f"time alone: {change.step} of {change.after}"


def one_text(run: Run) -> Iterator[str]:
    """No link leaves twice, and what is asked again after its link is dead is asked by telephone."""
    if len(set(run.after.texts)) != len(run.after.texts):
        yield "a text left twice"
    for change in run.changes:
        again = isinstance(change, ItemChange) and change.step in (Step.RESTORE, Step.HAND_OVER) and change.after
        if again and again.sent and not again.is_task and not _called_about(run.after, again.key):
            yield f"{again.key.code} is asked again through a dead link"


def refused_is_reviewed(run: Run) -> Iterator[str]:
    """Each refused due time has its review, and keeps the promised one."""
    for change in run.changes:
        if isinstance(change, ItemChange) and change.before and change.after.refused not in (None, change.before.refused):
            new = [one.after for one in run.changes if isinstance(one, CoverChange) and one.step is CoverStep.MAKE]
            if not any(cover.kind is CoverKind.DUE_REVIEW and change.after.key in cover.covers for cover in new):
                yield f"nobody hears of a refused due time of {change.after.key.code}"
            if change.after.refused == change.after.times.due_at:
                yield f"{change.after.key.code} refuses the due time that it has"
            if change.after.times.expires_at and change.after.times.expires_at < change.after.times.due_at:
                yield f"{change.after.key.code} expires before it is due"
    for want in run.wanted.wanted.values():
        item = run.after.by_key(want.key)
        if item and item.is_open and want.is_open and not item.settled and not want.counts_from_making:
            if want.times.due_at not in (item.times.due_at, item.refused):
                yield f"a refused due time of {want.key.code} is not remembered"
            if want.times.expires_at and item.times.expires_at != max(want.times.expires_at, item.times.due_at):
                yield f"{want.key.code} has not taken its new expiry"


def what_has_passed(run: Run) -> Iterator[str]:
    """Nobody calls about what had given way until it expired, nor about what ran out while the patient was truly away."""
    away = [one for one in run.after.facts.absences if one.span.until]
    for change in run.changes:
        if isinstance(change, ItemChange) and change.step is Step.MISS:
            before, ran_out = change.before, change.after.times.expires_at
            if before and ran_out and ran_out < run.after.now and before.reason not in UNTRUE:
                yield f"a call about {change.after.key.code}, which had ended as {before.reason} and expired"
            if change.after.key.code == "WK" and ran_out and any(one.span.holds(ran_out) for one in away):
                yield "a call about a week that passed while the patient was away"


def covers_are_needed(run: Run) -> Iterator[str]:
    """Open covers say what is so: no call about what is asked again, no review of what was never called off."""
    for cover in run.after.covers:
        items = [item for key in cover.covers if (item := run.after.by_key(key))]
        if cover.open and not any(_needs(cover, item, run) for item in items):
            yield f"{cover.kind} {cover.reason} covers nothing"
        if cover.open and cover.kind is CoverKind.TELEPHONE and cover.due_at != min(item.times.due_at for item in items):
            yield "a call in place of a link is not due with it"
    for change in run.changes:
        ended = isinstance(change, CoverChange) and change.step is CoverStep.END and _is_kept(change.after, run) and change.after
        if ended and any(_needs(ended, item, run) for key in ended.covers if (item := run.after.by_key(key))):
            yield f"{ended.kind} ends and is needed"


def _is_kept(cover: Cover, run: Run) -> bool:
    causes = {one.cause for one in run.after.facts.present_absences()}
    return causes <= protocols().default.covers[cover.kind].stays_after


def _needs(cover: Cover, item: Stored, run: Run) -> bool:
    if cover.kind is CoverKind.CATCH_UP:
        return (item.state, item.reason) == (State.NOT_ASKED, PAST_DUE)
    if cover.kind is CoverKind.CALLED_OFF:
        return (item.state, item.reason) == (State.CANCELLED, cover.reason)
    if cover.kind is CoverKind.OVERDUE:
        return run.wanted.ended(item.key) not in NEVER_WAS
    unanswered = item.is_open or item.state is State.EXPIRED
    return unanswered and (cover.kind is not CoverKind.DUE_REVIEW or item.refused is not None)


def _in_time(want: Wanted, world: World) -> bool:
    opens_later = want.made_when_it_opens and want.times.opens_at is not None and want.times.opens_at > world.now
    unmade = world.by_key(want.key) is None and (opens_later or (not want.called_about_when_late and want.times.due_at < world.now))
    return want.is_open and want.times.due_at >= world.now and not unmade


def _as_wanted(item: Stored, want: Wanted) -> bool:
    free = item.settled or want.counts_from_making
    return (free or item.times == want.times) and (item.is_task, item.offered) == (want.is_task, want.offered)


def _called_about(world: World, key: Key) -> bool:
    return any(cover.stands and cover.kind in CALLS and key in cover.covers for cover in world.covers)


def _lists(cover: Cover, item: Stored) -> bool:
    return cover.kind is CoverKind.CALLED_OFF and cover.stands and item.key in cover.covers and cover.reason == item.reason


def _open_cover_lists(world: World, key: Key) -> bool:
    owning = (CoverKind.CATCH_UP, CoverKind.CALLED_OFF)
    return any(cover.open and cover.kind in owning and key in cover.covers for cover in world.covers)


PROPERTIES: tuple[Callable[[Run], Iterator[str]], ...] = (
    whole, one_call, nothing_unkept, no_due_in_the_past, what_stays, at_rest, called_off_is_listed, in_time_is_open, nothing_wanted_ends,
    time_alone, one_text, refused_is_reviewed, what_has_passed, covers_are_needed,
)  # fmt: skip
