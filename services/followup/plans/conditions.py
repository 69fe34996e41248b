"""What the rest of the facts makes of an item: whether it is there, and whether it is open or how it is to have ended."""

from dataclasses import replace
from uuid import UUID

from services.followup.plans.anchors import Anchored
from services.followup.plans.draft import Draft, Place
from services.followup.plans.entries import Condition, Entry
from services.followup.plans.overview import REASON_OF
from services.followup.plans.wanted import Key, State, Times, Wanted

NEXT_INFUSION, NOT_REQUIRED = "next-infusion", "not-required"
RECORD_CORRECTED, STILL_ASKED = "record-corrected", "still-asked"


def not_this_one(draft: Draft, entry: Entry, at: Anchored) -> str | None:
    """Why this infusion, course or departure has no such item; None where it has."""
    if entry.when and not _holds(draft, entry.when, at):
        return RECORD_CORRECTED
    if entry.unless and _holds(draft, entry.unless, at):
        return STILL_ASKED if entry.unless.stands else RECORD_CORRECTED
    return None


def as_left_by_the_rest(draft: Draft, place: Place, item: Wanted) -> Wanted:
    """The item open, or as it is to have ended."""
    if following := _next_infusion(draft, place, item.times):
        return replace(item, state=State.SUPERSEDED, reason=NEXT_INFUSION, gives_way_to=following)
    if absence := place.absent(draft.overview) or place.passed_meanwhile(draft.overview, item.times):
        return replace(item, state=State.CANCELLED, reason=REASON_OF[absence.cause], offered=False)
    if place.entry.enough and _is_enough(draft, place, item.key):
        return replace(item, state=State.NOT_ASKED, reason=NOT_REQUIRED, offered=False)
    return item


def _next_infusion(draft: Draft, place: Place, times: Times) -> UUID | None:
    """The infusion to which this item gives way."""
    rule, visit = place.entry.gives_way, place.at.visit
    if rule is None or rule.before is None or visit is None or (rule.unless and _holds(draft, rule.unless, place.at)):
        return None
    limit = {"opens": times.opens_at, "due": times.due_at, "expires": times.expires_at}[rule.before]
    following = draft.overview.next_start(visit)
    return following[1] if following and limit and following[0] < limit else None


def _is_enough(draft: Draft, place: Place, key: Key) -> bool:
    """Whether as many of the course are done as it needs, without this one."""
    course, overview = place.at.course, draft.overview
    if course is None or course.sessions_needed is None or key in overview.facts.done:
        return False
    return overview.done_in_course.get((course.course_id, key.code), 0) >= course.sessions_needed


def _holds(draft: Draft, condition: Condition, at: Anchored) -> bool:
    """Whether all that the condition names is so."""
    if condition.outcome and (at.visit is None or at.visit.outcome not in condition.outcome):
        return False
    if condition.maintenance is not None and condition.maintenance is not _in_maintenance(at):
        return False
    return not condition.stands or _stands(draft, condition, at)


def _in_maintenance(at: Anchored) -> bool:
    since = at.course.maintenance_since if at.course else None
    return since is not None and at.counts_from >= since


def _stands(draft: Draft, condition: Condition, at: Anchored) -> bool:
    """Whether one of these is still asked about the same infusion, judged when the anchor came about."""
    asked = (draft.wanted.get(Key(at.visit.infusion_id, code)) for code in condition.stands) if at.visit else ()
    return any(one and one.is_open and not (at.since and one.times.expires_at and one.times.expires_at < at.since) for one in asked)
