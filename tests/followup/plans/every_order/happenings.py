"""What can happen to a patient's follow-up. Each returns the world with its fact changed, or None where it cannot happen there."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.followup.plans.facts import Absence, Cause, Facts, Outcome, Span, Visit, VisitState
from services.followup.plans.stored import CALLS
from services.followup.plans.wanted import State
from tests.followup.plans.every_order.world import COURSE, FIRST, NEXT, T0, World

Happening = Callable[[World], World | None]


def told(world: World) -> World | None:
    """The first infusion ended at T0, and this is heard of now."""
    ended = _ended(FIRST, world, T0)
    return None if _visit(world, FIRST) else _with_visit(world, ended)


def t0_later(world: World) -> World | None:
    return _shifted(world, timedelta(hours=20))


def t0_earlier(world: World) -> World | None:
    return _shifted(world, -timedelta(hours=10))


def t0_far_earlier(world: World) -> World | None:
    return _shifted(world, -timedelta(days=3))


def t0_as_told_first(world: World) -> World | None:
    visit = _visit(world, FIRST)
    return _shifted(world, T0 - visit.pump_ended_at) if visit and visit.pump_ended_at else None


def stopped(world: World) -> World | None:
    return _corrected(world, outcome=Outcome.STOPPED_EARLY)


def completed(world: World) -> World | None:
    return _corrected(world, outcome=Outcome.COMPLETED)


def transferred(world: World) -> World | None:
    return _corrected(world, outcome=Outcome.TRANSFERRED)


def left_against_advice(world: World) -> World | None:
    return _corrected(world, outcome=Outcome.LEFT_AGAINST_ADVICE)


def dose_to_nothing(world: World) -> World | None:
    return _corrected(world, drug_given=False)


def dose_back(world: World) -> World | None:
    return _corrected(world, drug_given=True)


def void(world: World) -> World | None:
    return _corrected(world, state=VisitState.VOID)


def next_booked(world: World) -> World | None:
    booked = Visit(NEXT, COURSE, VisitState.BOOKED, scheduled_at=world.now + timedelta(days=2))
    return None if _visit(world, NEXT) else _with_visit(world, booked)


def next_begun(world: World) -> World | None:
    visit = _visit(world, NEXT)
    if visit and visit.state is not VisitState.BOOKED:
        return None
    return _with_visit(world, Visit(NEXT, COURSE, VisitState.STARTED, started_at=world.now))


def next_ended(world: World) -> World | None:
    visit = _visit(world, NEXT)
    return _with_visit(world, _ended(NEXT, world, world.now)) if visit and visit.state is VisitState.STARTED else None


def next_missed(world: World) -> World | None:
    visit = _visit(world, NEXT)
    return _with_visit(world, replace(visit, state=VisitState.MISSED)) if visit and visit.state is VisitState.BOOKED else None


def next_void(world: World) -> World | None:
    visit = _visit(world, NEXT)
    return _with_visit(world, replace(visit, state=VisitState.VOID)) if visit and visit.state is not VisitState.VOID else None


def died(world: World) -> World | None:
    return _absent(world, Cause.DEATH)


def left(world: World) -> World | None:
    return _absent(world, Cause.WITHDRAWAL)


def consent_revoked(world: World) -> World | None:
    return _absent(world, Cause.CONSENT_REVOKED)


def death_was_a_mistake(world: World) -> World | None:
    return _not_so(world, Cause.DEATH)


def leaving_was_a_mistake(world: World) -> World | None:
    return _not_so(world, Cause.WITHDRAWAL)


def returned(world: World) -> World | None:
    """The patient is back, or has signed again."""
    if not world.facts.present_absences() or any(one.cause is Cause.DEATH for one in world.facts.present_absences()):
        return None
    closed = tuple(replace(one, span=Span(one.span.since, one.span.until or world.now)) for one in world.facts.absences)
    return _with(world, replace(world.facts, absences=closed))


def course_ended(world: World) -> World | None:
    course = world.facts.courses[0]
    if course.ended_at:
        return None
    return _with_runs(world, (*course.runs[:-1], Span(course.runs[-1].since, world.now)))


def course_resumed(world: World) -> World | None:
    course = world.facts.courses[0]
    return _with_runs(world, (*course.runs, Span(world.now))) if course.ended_at else None


def answered(world: World) -> World | None:
    """The patient answers the first check-in that is asked."""
    asked = sorted((one for one in world.stored if one.state is State.ASKED and not one.is_task), key=lambda one: one.key)
    return _done(world, asked[0].key.code) if asked else None


def session_held(world: World) -> World | None:
    return _done(world, "integration-session")


def called(world: World) -> World | None:
    """Somebody makes the first call that is open, and speaks to the patient."""
    for number, cover in enumerate(world.covers):
        if cover.open and cover.kind in CALLS:
            covers = list(world.covers)
            covers[number] = replace(cover, open=False, done=True)
            return replace(world, covers=tuple(covers))
    return None


def next_attempt(world: World) -> World | None:
    """Nobody was reached about a session, and a person chose another time."""
    sessions = [one for one in world.stored if one.key.code == "integration-session" and one.is_open and not one.settled]
    item = min(sessions, key=lambda one: one.key, default=None)
    if item is None:
        return None
    at = item.times._replace(due_at=world.now + timedelta(days=4))
    return world.with_item(replace(item, times=at, settled=True))


HAPPENINGS: tuple[Happening, ...] = (
    told, t0_later, t0_earlier, t0_far_earlier, t0_as_told_first, stopped, completed, transferred, left_against_advice, dose_to_nothing,
    dose_back, void,
    next_booked, next_begun, next_ended, next_missed, next_void, died, left, consent_revoked, death_was_a_mistake, leaving_was_a_mistake,
    returned, course_ended, course_resumed, answered, session_held, called, next_attempt,
)  # fmt: skip


def _with(world: World, facts: Facts) -> World | None:
    return replace(world, facts=facts) if facts != world.facts else None


def _visit(world: World, infusion_id: UUID) -> Visit | None:
    return next((one for one in world.facts.visits if one.infusion_id == infusion_id), None)


def _with_visit(world: World, visit: Visit) -> World | None:
    others = [one for one in world.facts.visits if one.infusion_id != visit.infusion_id]
    visits = tuple(sorted((*others, visit), key=lambda one: one.infusion_id))
    return _with(world, replace(world.facts, visits=visits))


def _ended(infusion_id: UUID, world: World, at: datetime) -> Visit:
    visit = _visit(world, infusion_id)
    started_at = visit.started_at if visit and visit.started_at else at - timedelta(minutes=40)
    out = at + timedelta(hours=1)
    return Visit(infusion_id, COURSE, VisitState.ENDED, None, started_at, at, out, Outcome.COMPLETED, drug_given=True)


def _corrected(world: World, **to: Any) -> World | None:  # Any: fields of several types
    visit = _visit(world, FIRST)
    if visit is None or visit.state is VisitState.VOID:
        return None
    return _with_visit(world, replace(visit, **to))


def _shifted(world: World, by: timedelta) -> World | None:
    visit = _visit(world, FIRST)
    if visit is None or not (visit.started_at and visit.pump_ended_at and visit.discharged_at):
        return None
    at = visit.started_at + by, visit.pump_ended_at + by, visit.discharged_at + by
    if at[1] > world.now:
        return None
    return _corrected(world, started_at=at[0], pump_ended_at=at[1], discharged_at=at[2])


def _absent(world: World, cause: Cause) -> World | None:
    present = world.facts.present_absences()
    if any(one.cause in (cause, Cause.DEATH) for one in present):
        return None
    number = 1 + len(world.facts.absences)
    absence = Absence(cause, Span(world.now), number)
    return _with(world, replace(world.facts, absences=tuple(sorted((*world.facts.absences, absence), key=str))))


def _not_so(world: World, cause: Cause) -> World | None:
    true = tuple(one for one in world.facts.absences if one.cause is not cause or one.span.until)
    return _with(world, replace(world.facts, absences=true))


def _with_runs(world: World, runs: tuple[Span, ...]) -> World | None:
    return _with(world, replace(world.facts, courses=(replace(world.facts.courses[0], runs=runs),)))


def _done(world: World, code: str) -> World | None:
    item = next((one for one in sorted(world.stored, key=lambda one: one.key) if one.key.code == code and one.is_open), None)
    if item is None:
        return None
    world = world.with_item(replace(item, state=State.DONE))
    return _with(world, replace(world.facts, done=world.facts.done | {item.key}))
