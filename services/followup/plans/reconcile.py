"""The difference between what exists for a patient and what should, row by row. Values in, changes out; applied, nothing is left to do.

Done and expired items stay, whatever the facts become. A limit itself is inside: past due is strictly after.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from services.followup.plans.anchors import DUPLICATE, NO_DRUG, VOID
from services.followup.plans.changes import Change, ItemChange, Step
from services.followup.plans.conditions import RECORD_CORRECTED
from services.followup.plans.covers import Raised, cover_changes
from services.followup.plans.overview import REASON_OF
from services.followup.plans.series import COURSE_STILL_RAN
from services.followup.plans.stored import PAST_DUE, UNTOLD, CoverKind, Items, Stored
from services.followup.plans.wanted import ENDED_BY_THE_MACHINE, Key, Plan, State, Times, Wanted

LISTED = frozenset({*REASON_OF.values(), NO_DRUG, VOID, DUPLICATE})
"""Reasons for which a person looks at what was called off."""

UNTRUE = LISTED | {RECORD_CORRECTED, COURSE_STILL_RAN}
"""Reasons that were no absence, where the item is wanted again: the record that said so was wrong. So it was missed, however long ago."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one item, and the people's work that this asks for."""

    after: Stored
    step: Step | None = None
    raises: tuple[CoverKind, ...] = ()


def reconcile(existing: Items, wanted: Plan, now: datetime) -> list[Change]:
    """What has to be written so that what exists is what is wanted."""
    outcomes = dict(_outcomes(existing, wanted, now))
    changes: list[Change] = [
        ItemChange(one.step, existing.stored.get(key), one.after) for key, one in outcomes.items() if one.step is not None
    ]
    items = {key: one.after for key, one in outcomes.items()}
    raised = [Raised(kind, one.after) for one in outcomes.values() for kind in one.raises]
    return changes + cover_changes(existing.covers, items, raised, wanted)


def _outcomes(existing: Items, wanted: Plan, now: datetime) -> Iterator[tuple[Key, Outcome]]:
    for key in sorted({*existing.stored, *wanted.wanted}):
        stored, want = existing.stored.get(key), wanted.wanted.get(key)
        if stored is not None:
            yield key, _existing(stored, want, wanted.ended(key), existing, now)
        elif want is not None and (outcome := _missing(want, now)):
            yield key, outcome


def _missing(want: Wanted, now: datetime) -> Outcome | None:
    """Nothing exists yet."""
    opens_at = want.times.opens_at
    if want.made_when_it_opens and opens_at and opens_at > now:
        return None
    late = want.is_open and _is_past(want.times, now)
    if not want.called_about_when_late and (late or not want.is_open):
        return None
    made = Stored(want.key, want.is_task, want.state, want.times, want.reason, want.gives_way_to, offered=want.offered)
    if late:
        return Outcome(replace(made, state=State.NOT_ASKED, reason=PAST_DUE, offered=False), Step.MISS, (CoverKind.CATCH_UP,))
    return Outcome(made, Step.MAKE, _listed(made))


def _existing(stored: Stored, want: Wanted | None, gone: str | None, existing: Items, now: datetime) -> Outcome:
    if want is None and gone is None:
        return Outcome(stored)
    if stored.is_open:
        return _open_still(stored, want, now) if want and want.is_open else _ended_now(stored, want, gone)
    if stored.state in ENDED_BY_THE_MACHINE:
        return _wanted_again(stored, want, now) if want and want.is_open else _restated(stored, want, gone, existing)
    if stored.link_open and (want.reason if want else gone) in LISTED:
        return Outcome(replace(stored, link_open=False), Step.CLOSE)
    return Outcome(stored)


def _open_still(stored: Stored, want: Wanted, now: datetime) -> Outcome:
    """It is open and to be so: its times follow, and who asks."""
    timed = _retimed(stored, want, now)
    if stored.is_task != want.is_task:
        return _handed_over(timed, want)
    if stored.offered != want.offered:
        return Outcome(replace(timed.after, offered=want.offered), Step.OFFER if want.offered else Step.CHASE, timed.raises)
    return timed


def _handed_over(timed: Outcome, want: Wanted) -> Outcome:
    """Somebody else asks: a person in place of the patient's link, or the other way round. A link that has left once leaves no more."""
    generation = timed.after.generation + want.is_task
    after = replace(timed.after, is_task=want.is_task, offered=want.offered, state=State.PLANNED, generation=generation)
    return Outcome(after, Step.HAND_OVER, timed.raises + _by_telephone(after))


def _retimed(stored: Stored, want: Wanted, now: datetime) -> Outcome:
    if stored.settled or want.counts_from_making or (stored.times == want.times and stored.refused is None):
        return Outcome(stored)
    if want.times.due_at == stored.times.due_at or not _is_past(want.times, now):
        # What had been overdue is open again; what had opened stays asked, for no text leaves twice.
        return Outcome(replace(stored, times=want.times, refused=None), Step.MOVE)
    kept = replace(stored, refused=want.times.due_at, times=_keeping_due(stored.times, want.times))
    if kept == stored:
        return Outcome(stored)
    return Outcome(kept, Step.KEEP_DUE, (CoverKind.DUE_REVIEW,) if stored.refused not in (want.times.due_at, UNTOLD) else ())


def _keeping_due(promised: Times, wanted: Times) -> Times:
    """The promised due time with the new expiry, which cannot lie before it."""
    expires_at = wanted.expires_at and max(wanted.expires_at, promised.due_at)
    return promised._replace(expires_at=expires_at)


def _ended_now(stored: Stored, want: Wanted | None, gone: str | None) -> Outcome:
    """It is open and not to be."""
    after = _as_ended(stored, want, gone)
    return Outcome(after, Step.SUPERSEDE if after.state is State.SUPERSEDED else Step.END, _listed(after))


def _wanted_again(stored: Stored, want: Wanted, now: datetime) -> Outcome:
    """The machine ended it, and it is to be open."""
    if not _is_past(want.times, now):
        return _restored(stored, want)
    expired = want.times.expires_at is not None and want.times.expires_at < now
    if stored.reason not in UNTRUE and (not want.called_about_when_late or (expired and stored.reason != PAST_DUE)):
        return Outcome(stored)
    if stored.reason == PAST_DUE:
        return Outcome(stored, raises=(CoverKind.CATCH_UP,))
    missed = replace(stored, state=State.NOT_ASKED, times=want.times, reason=PAST_DUE, gives_way_to=None, offered=False)
    return Outcome(missed, Step.MISS, (CoverKind.CATCH_UP,))


def _restored(stored: Stored, want: Wanted) -> Outcome:
    """Asked after all: a check-in as the same one, by telephone where its link has left; a task as a new one."""
    after = replace(
        stored,
        state=State.PLANNED,
        times=want.times,
        is_task=want.is_task,
        reason=None,
        gives_way_to=None,
        offered=want.offered,
        settled=False,
        refused=None,
        generation=stored.generation + want.is_task,
    )
    return Outcome(after, Step.RESTORE, _by_telephone(after))


def _restated(stored: Stored, want: Wanted | None, gone: str | None, existing: Items) -> Outcome:
    """The machine ended it, and it is not to be open: the state and the reason that hold now."""
    now_so = (want.state, want.reason) if want else (State.CANCELLED, gone)
    if now_so == (stored.state, stored.reason):
        return Outcome(stored)
    after = _as_ended(stored, want, gone)
    return Outcome(after, Step.RESTATE, _listed(after) if _loses_its_owner(stored.key, existing) else ())


def _loses_its_owner(key: Key, existing: Items) -> bool:
    """Whether work is open that owned it for the reason that was: it falls, and so it is called off like what was open."""
    owning = (CoverKind.CATCH_UP, CoverKind.CALLED_OFF)
    return any(cover.kind in owning and cover.open and key in cover.covers for cover in existing.covers)


def _listed(ended: Stored) -> tuple[CoverKind, ...]:
    return (CoverKind.CALLED_OFF,) if ended.reason in LISTED else ()


def _by_telephone(asked: Stored) -> tuple[CoverKind, ...]:
    return (CoverKind.TELEPHONE,) if asked.sent and not asked.is_task else ()


def _as_ended(stored: Stored, want: Wanted | None, gone: str | None) -> Stored:
    if want is None:
        return replace(stored, state=State.CANCELLED, reason=gone, gives_way_to=None)
    return replace(stored, state=want.state, reason=want.reason, gives_way_to=want.gives_way_to)


def _is_past(times: Times, now: datetime) -> bool:
    return times.due_at < now
