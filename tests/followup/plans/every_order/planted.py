"""One bug for each rule of the comparison, as an engineer could write it: a piece of the code, and what stands there in its place."""

from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from services.followup.plans import covers, reconcile
from tests.followup.plans.every_order import happenings as h
from tests.followup.plans.every_order import world
from tests.followup.plans.every_order.happenings import Happening


class Bug(NamedTuple):
    """A bug, the happenings that are enough to show it, and the property that is then broken."""

    rule: str
    module: ModuleType
    right: str
    wrong: str
    broken: str
    way: tuple[Happening, ...]


def plant(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the bug in place until the test ends."""
    assert bug.module.__file__ is not None
    source = Path(bug.module.__file__).read_text(encoding="utf-8")
    assert source.count(bug.right) == 1, f"the code is another now; plant the bug against {bug.rule!r} anew"
    faulty = ModuleType(bug.module.__name__)
    exec(compile(source.replace(bug.right, bug.wrong), bug.module.__file__, "exec"), faulty.__dict__)  # noqa: S102 - our own code
    if bug.module is covers:
        monkeypatch.setattr(reconcile, "cover_changes", faulty.__dict__["cover_changes"])
    else:
        monkeypatch.setattr(world, "reconcile", faulty.__dict__["reconcile"])


BUGS: tuple[Bug, ...] = (
    Bug(
        "past due is not made open",
        reconcile,
        "late = want.is_open and _is_past(want.times, now)",
        "late = False",
        "no_due_in_the_past",
        (h.told,),
    ),
    Bug(
        "what is not asked is called about",
        reconcile,
        "Step.MISS, (CoverKind.CATCH_UP,))\n    return Outcome(made",
        "Step.MISS)\n    return Outcome(made",
        "whole",
        (h.told,),
    ),
    Bug(
        "late: drop",
        reconcile,
        "if not want.called_about_when_late and (late or not want.is_open):",
        "if False:",
        "whole",
        (h.told, h.dose_to_nothing, h.died),
    ),
    Bug(
        "a set is whole",
        reconcile,
        "return Outcome(made, Step.MAKE, _listed(made))",
        "return Outcome(made, Step.MAKE, _listed(made)) if late else None",
        "whole",
        (h.told,),
    ),
    Bug(
        "what is made as called off is listed",
        reconcile,
        "return Outcome(made, Step.MAKE, _listed(made))",
        "return Outcome(made, Step.MAKE)",
        "called_off_is_listed",
        (h.died, h.told),
    ),
    Bug(
        "a series is made when it opens",
        reconcile,
        "if want.made_when_it_opens and opens_at and opens_at > now:",
        "if False:",
        "whole",
        (h.told, h.course_ended),
    ),
    Bug("a due time ahead moves", reconcile, "or not _is_past(want.times, now):", "or False:", "in_time_is_open", (h.told, h.t0_later)),
    Bug(
        "a due time that has passed is kept",
        reconcile,
        "or not _is_past(want.times, now):",
        "or True:",
        "no_due_in_the_past",
        (h.told, h.t0_far_earlier),
    ),
    Bug(
        "an unchanged due time is no refusal",
        reconcile,
        "if want.times.due_at == stored.times.due_at or not",
        "if not",
        "refused_is_reviewed",
        (h.told, h.t0_earlier),
    ),
    Bug(
        "the new expiry is taken",
        reconcile,
        "return promised._replace(expires_at=expires_at)",
        "return promised",
        "refused_is_reviewed",
        (h.told, h.t0_far_earlier),
    ),
    Bug(
        "nothing expires before its kept due time",
        reconcile,
        "wanted.expires_at and max(wanted.expires_at, promised.due_at)",
        "wanted.expires_at",
        "refused_is_reviewed",
        (h.told, h.t0_far_earlier),
    ),
    Bug(
        "a refused due time is reviewed",
        reconcile,
        "(CoverKind.DUE_REVIEW,) if stored.refused not in (want.times.due_at, UNTOLD) else ()",
        "()",
        "refused_is_reviewed",
        (h.told, h.t0_far_earlier),
    ),
    Bug(
        "each refused due time is reviewed",
        reconcile,
        "(CoverKind.DUE_REVIEW,) if stored.refused not in (want.times.due_at, UNTOLD)",
        "(CoverKind.DUE_REVIEW,) if stored.refused is None",
        "refused_is_reviewed",
        (h.told, h.t0_far_earlier, h.t0_far_earlier),
    ),
    Bug("one review for each refused due time", reconcile, "if kept == stored:", "if False:", "at_rest", (h.told, h.t0_far_earlier)),
    Bug("a settled time stays", reconcile, "if stored.settled or", "if", "what_stays", (h.told, h.next_attempt, h.t0_later)),
    Bug(
        "what counts from its making does not move",
        reconcile,
        "or want.counts_from_making or",
        "or",
        "time_alone",
        (h.told, h.left_against_advice, h.answered),
    ),
    Bug("another hand", reconcile, "if stored.is_task != want.is_task:", "if False:", "in_time_is_open", (h.told, h.transferred)),
    Bug(
        "offered and not chased",
        reconcile,
        "if stored.offered != want.offered:",
        "if False:",
        "nothing_unkept",
        (h.told, h.consent_revoked),
    ),
    Bug(
        "what is not wanted ends",
        reconcile,
        "else _ended_now(stored, want, gone)",
        "else Outcome(stored)",
        "nothing_wanted_ends",
        (h.told, h.next_begun),
    ),
    Bug("what is called off is listed", reconcile, "Step.END, _listed(after))", "Step.END)", "called_off_is_listed", (h.told, h.died)),
    Bug(
        "what is in time is restored",
        reconcile,
        "    if not _is_past(want.times, now):\n        return _restored",
        "    if False:\n        return _restored",
        "in_time_is_open",
        (h.told, h.next_begun, h.next_void),
    ),
    Bug(
        "what is past due is not restored",
        reconcile,
        "    if not _is_past(want.times, now):\n        return _restored",
        "    if True:\n        return _restored",
        "no_due_in_the_past",
        (h.told, h.dose_to_nothing, h.dose_back),
    ),
    Bug(
        "a dead link is made up for by telephone",
        reconcile,
        "return Outcome(after, Step.RESTORE, _by_telephone(after))",
        "return Outcome(after, Step.RESTORE)",
        "one_text",
        (h.told, h.dose_to_nothing, h.dose_back),
    ),
    Bug(
        "a restored item takes its new times",
        reconcile,
        "        times=want.times,\n        is_task=want.is_task,",
        "        is_task=want.is_task,",
        "in_time_is_open",
        (h.told, h.dose_to_nothing, h.t0_later, h.dose_back),
    ),
    Bug(
        "what could not be asked again is called about",
        reconcile,
        "return Outcome(missed, Step.MISS, (CoverKind.CATCH_UP,))",
        "return Outcome(missed, Step.MISS)",
        "whole",
        (h.told, h.dose_to_nothing, h.dose_back),
    ),
    Bug(
        "what gave way until it expired stays",
        reconcile,
        "(expired and stored.reason != PAST_DUE)",
        "False",
        "what_has_passed",
        (h.told, h.next_begun, h.next_void),
    ),
    Bug(
        "what an untrue record ended is missed",
        reconcile,
        "if stored.reason not in UNTRUE and (not",
        "if expired or (not",
        "whole",
        (h.told, h.dose_to_nothing, h.dose_back),
    ),
    Bug(
        "an ended item says what holds now",
        reconcile,
        "if now_so == (stored.state, stored.reason):",
        "if True:",
        "nothing_wanted_ends",
        (h.told, h.left, h.died),
    ),
    Bug(
        "what loses its owner is called off",
        reconcile,
        "_listed(after) if _loses_its_owner(stored.key, existing) else ()",
        "()",
        "called_off_is_listed",
        (h.told, h.died),
    ),
    Bug(
        "done and expired stay",
        reconcile,
        "if stored.state in ENDED_BY_THE_MACHINE:",
        "if not stored.is_open:",
        "what_stays",
        (h.told, h.session_held, h.died),
    ),
    Bug(
        "what the plan does not name is left alone",
        reconcile,
        "if want is None and gone is None:",
        "if False:",
        "what_stays",
        (h.told, h.left, h.returned, h.consent_revoked),
    ),
    Bug(
        "a cover ends when nothing needs it",
        covers,
        "if not cover.lists_more and not any(_needs(cover, key, items) for key in cover.covers):",
        "if False:",
        "covers_are_needed",
        (h.told, h.dose_to_nothing),
    ),
    Bug(
        "a cover stays as long as one thing needs it",
        covers,
        "and not any(_needs(",
        "and not all(_needs(",
        "covers_are_needed",
        (h.told, h.answered, h.t0_far_earlier, h.session_held),
    ),
    Bug(
        "a cover ends with the patient's standing",
        covers,
        "if terms and terms.ends_because:",
        "if False:",
        "nothing_unkept",
        (h.told, h.left),
    ),
    Bug(
        "later misses join the open call",
        covers,
        "if cover.kind is CoverKind.CATCH_UP and cover.open:",
        "if False:",
        "one_call",
        (h.told, h.next_begun, h.next_void),
    ),
    Bug(
        "there is no second call about the same",
        covers,
        "if one.kind in CALLS and one.item.key not in called_about]",
        "if one.kind in CALLS]",
        "at_rest",
        (h.told, h.dose_to_nothing, h.dose_back),
    ),
    Bug(
        "a call that fell covers nothing",
        covers,
        "if cover.kind in CALLS and cover.stands for",
        "if cover.kind in CALLS for",
        "whole",
        (h.told, h.dose_to_nothing, h.dose_back),
    ),
    Bug(
        "a call in place of a link is due with it",
        covers,
        "if due_at != cover.due_at else None",
        "if False else None",
        "covers_are_needed",
        (h.told, h.dose_to_nothing, h.dose_back, h.t0_later),
    ),
    Bug(
        "covers are numbered", covers, "self._last[kind] += 1", "self._last[kind] = 1", "one_call", (h.told, h.died, h.death_was_a_mistake)
    ),
    Bug(
        "a review says why",
        covers,
        "item.state is State.CANCELLED and item.reason == cover.reason",
        "item.state is State.CANCELLED",
        "covers_are_needed",
        (h.told, h.left, h.died),
    ),
    Bug(
        "a review of a due time needs a refused one",
        covers,
        "(cover.kind is not CoverKind.DUE_REVIEW or item.refused is not None)",
        "True",
        "covers_are_needed",
        (h.told, h.t0_far_earlier, h.t0_as_told_first),
    ),
)
