"""Marking a start for a prescriber to look at, by what is known of its readings and its time; and settling what was marked."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.infusions import queries
from services.sessions.infusions.models import Infusion
from services.sessions.infusions.schemas import SettleReview
from services.sessions.infusions.standing import barred_at
from services.sessions.infusions.states import InfusionState
from services.sessions.infusions.steps import Taken, record
from services.sessions.limits import Limits, LimitsInForce
from services.sessions.met import Met
from services.sessions.subjects.models import Subject
from services.sessions.subjects.queries import treatment_consented
from services.sessions.vitals.queries import held_after, holds_before
from shared.security.caller import Actor

START_BARRED = "start-barred"
"""The start was corrected to a time at which nothing might have been started."""
START_HELD = "start-held"
"""As the readings are known now, one struck and not taken again among them, the start would have been held without a prescriber."""
START_BEFORE_HOLD = "start-before-hold"
"""When the start was entered, the record had readings that held it. It was dated before them, so nobody had to decide about them."""


async def review_start(
    db: AsyncSession, actor: Actor, now: datetime, infusion: Infusion, subject: Subject, measured_at: datetime, limits: LimitsInForce
) -> None:
    """Judge the check before a start again when readings of that time were added or struck; mark the record where it would be held.

    The limits are those that counted at the start.

    A mark is a version of the record, and is told, so that it becomes somebody's work. The start is not taken back: it happened.
    """
    started_at = infusion.pump_started_at
    if started_at is None or infusion.state is InfusionState.ENTERED_IN_ERROR:
        return
    judged_by = await limits.at(db, started_at, now)
    since = started_at - judged_by.infusions.visit.reading_before_start_minutes.minutes
    if not since <= measured_at <= started_at:
        return
    await db.flush()
    await _review_holds(db, actor, now, infusion, subject, judged_by)


async def review_moved_start(
    db: AsyncSession, actor: Actor, now: datetime, infusion: Infusion, subject: Subject, limits: Limits
) -> Taken | None:
    """Mark a record whose start was corrected to a time at which patient, course, consent or readings did not allow one.

    The correction stands, for it says what happened; that it should not have happened is for a prescriber to look at.
    """
    barred = await _review_barred(db, actor, now, infusion, subject)
    return await _review_holds(db, actor, now, infusion, subject, limits) or barred


async def review_entered_start(
    db: AsyncSession, actor: Actor, now: datetime, infusion: Infusion, subject: Subject, limits: Limits
) -> Taken | None:
    """Mark a start that was entered after readings that held it, and dated before them.

    It may be true: the pump ran before anybody entered its start. It is also how a hold is passed without a prescriber. The record cannot
    tell the two apart, so a prescriber looks. A visit written up later from paper is not marked, for its readings held nothing when they
    were entered.
    """
    started_at = infusion.pump_started_at
    assert started_at is not None
    held = await held_after(db, infusion.infusion_id, started_at, limits)
    return await _mark(db, actor, now, infusion, subject, START_BEFORE_HOLD, _undecided(infusion, held))


async def _review_holds(
    db: AsyncSession, actor: Actor, now: datetime, infusion: Infusion, subject: Subject, limits: Limits
) -> Taken | None:
    started_at = infusion.pump_started_at
    assert started_at is not None
    holds = await holds_before(db, infusion.infusion_id, started_at, limits)
    return await _mark(db, actor, now, infusion, subject, START_HELD, _undecided(infusion, holds))


def _undecided(infusion: Infusion, holds: Sequence[Met]) -> list[str]:
    return [hold.rule for hold in holds if hold.rule not in infusion.decided_holds]


async def _review_barred(db: AsyncSession, actor: Actor, now: datetime, infusion: Infusion, subject: Subject) -> Taken | None:
    started_at = infusion.pump_started_at
    assert started_at is not None
    barred = barred_at(subject, started_at, now, starting=True)
    found = [] if barred is None else [barred]
    if not await treatment_consented(db, infusion.patient_id, started_at):
        found.append("consent-missing")
    return await _mark(db, actor, now, infusion, subject, START_BARRED, found)


async def _mark(
    db: AsyncSession, actor: Actor, now: datetime, infusion: Infusion, subject: Subject, code: str, rules: Sequence[str]
) -> Taken | None:
    event = infusion.mark_for_review(subject, code, rules, now) if rules else None
    return None if event is None else await record(db, actor, now, infusion, subject, "marked-for-review", event)


async def settle(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: SettleReview) -> Taken:
    """Somebody has looked at what was marked. Raises 404, 428 or 412, and 409 nothing-to-review."""
    infusion, subject = await queries.get_infusion_for_change(db, infusion_id)
    actor.require_version(infusion.version)
    event = infusion.settle_reviews(actor=actor.name, reason=body.reason, now=now)
    return await record(db, actor, now, infusion, subject, "reviewed", event, reason=body.reason)
