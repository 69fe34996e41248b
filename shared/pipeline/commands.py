"""Mending: what an operator does to the pipeline of a service. Only one of these works at a time in a service, on whatever replica."""

from functools import partial
from typing import NamedTuple

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import parked
from shared.db import enter_clinic, kept_open
from shared.errors import Conflict, FieldError, Invalid
from shared.outbox import LOCKS
from shared.pipeline import redriving
from shared.pipeline.queries import count_behind, get_parked
from shared.pipeline.redriving import Choice, Lane, Outcome, Redrive
from shared.pipeline.schemas import Discarded, DiscardParked, ParkedState, Redriven, RedriveParked, StillParked
from shared.pipeline.shown import key as shown_key
from shared.security.audit import AuditEvent, append
from shared.security.caller import OUTSIDE_CLINICS, Actor
from shared.service import Service

_LANES_AT_ONCE = 1000


class Trail(NamedTuple):
    """What the audit row of each try names of the request."""

    client_id: str
    request_id: str


async def redrive(db: AsyncSession, actor: Actor, service: Service, wanted: RedriveParked, trail: Trail) -> Redriven:
    """Try chosen records again, or tell which they are. Records are settled one by one; repeating takes up where it stopped.

    Each try leaves an audit row of its own, with what ``trail`` says of the request.
    """
    choice = chosen(wanted)
    await one_at_a_time(db)
    lanes, aside = [], 0
    if service.inbox is not None:
        lanes = await redriving.lanes(
            db, service.inbox.consumer, choice, after=wanted.after, limit=_LANES_AT_ONCE, resume_at=wanted.resume_at
        )
        aside = await redriving.set_aside(db, service.inbox.consumer, choice)
    first = wanted.after == 0 and wanted.resume_at is None
    outgoing = await redriving.for_relay(db, choice) if first else []
    if wanted.dry_run:
        held_up_by = [lane.head_id for lane in lanes if not choice.takes(lane.head_id, lane.head_reason)]
        outcome = Outcome(held_up_by=held_up_by, done_up_to=lanes[-1].first_chosen if lanes else wanted.after)
    else:
        async with kept_open(db):
            outcome = await _redriven(actor, service, choice, lanes, wanted.after, trail)
        await redriving.back_to_relay(db, outgoing, by=actor.name)
        outcome.redriven += len(outgoing)
    return _answer(wanted, lanes, len(outgoing), aside, outcome)


async def discard(db: AsyncSession, actor: Actor, parked_id: int, decision: DiscardParked) -> Discarded:
    """Give a record up, by name and with a reason. Its key's followers stay parked until their key is redriven."""
    entry = await get_parked(db, parked_id, for_update=True)
    if entry.state != ParkedState.PARKED:
        raise Conflict("state", "This record is settled.", extra={"state": entry.state, "allowed": []})
    behind = await count_behind(db, entry)
    by = f"{decision.by} ({actor.name})"
    await parked.settle(db, parked_id, state=ParkedState.DISCARDED, by=by, why=decision.reason)
    return Discarded(parked_id=parked_id, key=shown_key(entry.key), behind=behind)


def chosen(wanted: RedriveParked) -> Choice:
    """The choice that a body makes. Raises Invalid unless it is exactly one."""
    in_range = wanted.from_id is not None or wanted.to_id is not None
    if sum((wanted.key is not None, wanted.reason is not None, in_range)) != 1:
        raise Invalid("selection-required", "Name exactly one of key, reason, or from_id with to_id.")
    if in_range and (wanted.from_id is None or wanted.to_id is None or wanted.from_id > wanted.to_id):
        raise Invalid("range-invalid", "A range has from_id and to_id, in this order.", errors=[FieldError("/to_id", "range-invalid")])
    key = str(wanted.key) if wanted.key is not None else None
    return Choice(key, wanted.reason, wanted.from_id, wanted.to_id)


async def one_at_a_time(db: AsyncSession) -> None:
    """Hold the service's one place for mending until this transaction ends. Raises Conflict when it is taken."""
    if not (await db.execute(_ONE_AT_A_TIME, {"locks": LOCKS})).scalar_one():
        raise Conflict(
            "mending-under-way", "Another redrive, replay or republish of this service is at work.", headers={"Retry-After": "5"}
        )


async def _redriven(actor: Actor, service: Service, choice: Choice, lanes: list[Lane], after: int, trail: Trail) -> Outcome:
    if service.inbox is None:
        return Outcome(done_up_to=after)
    redrive = Redrive(service.inbox, choice, by=actor.name, note=partial(_note, trail))
    return await redrive.run(lanes, after=after)


async def _note(trail: Trail, db: AsyncSession, parked_id: int, *, outcome: int) -> None:
    """The audit row of one record that was tried, outside of any clinic, in the transaction of the try."""
    await enter_clinic(db, OUTSIDE_CLINICS)
    await append(
        db,
        AuditEvent(
            clinic_id=OUTSIDE_CLINICS, client_id=trail.client_id, operation="redrive_parked", action="U", phi="none", outcome=outcome,
            request_id=trail.request_id, subject=f"parked/{parked_id}",
        ),
    )  # fmt: skip


def _answer(wanted: RedriveParked, lanes: list[Lane], outgoing: int, aside: int, outcome: Outcome) -> Redriven:
    more = not outcome.complete or len(lanes) == _LANES_AT_ONCE
    return Redriven(
        dry_run=wanted.dry_run,
        keys=len(lanes),
        chosen=sum(lane.chosen for lane in lanes) + outgoing,
        redriven=outcome.redriven,
        failed=[StillParked.model_validate(failure) for failure in outcome.failed],
        held_up_by=outcome.held_up_by,
        set_aside=aside if wanted.after == 0 and wanted.resume_at is None else 0,
        next_after=outcome.done_up_to if more else None,
        resume_at=outcome.resume_at,
    )


_ONE_AT_A_TIME = text("SELECT pg_try_advisory_xact_lock(:locks, hashtext('mending'))")
