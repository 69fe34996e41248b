"""Use cases of correcting: nothing is edited in place, every correction is a version with its reason."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.corrections.schemas import (
    AmendInfusion,
    ConfirmEnteredInError,
    RequestEnteredInError,
    RestoreVisit,
    WithdrawEnteredInError,
)
from services.sessions.infusions import queries, rules
from services.sessions.infusions.models import Infusion
from services.sessions.infusions.refusals import (
    refuse,
    refuse_barred,
    refuse_duplicate,
    refuse_far_apart,
    refuse_short_observation,
    refuse_unlikely_weight,
    refuse_unusual_dose,
)
from services.sessions.infusions.reviews import review_moved_start
from services.sessions.infusions.rules import FarApart, LastGiven, Observation, PumpEnd
from services.sessions.infusions.states import InfusionState, Step
from services.sessions.infusions.steps import Taken, load, record, review_course
from services.sessions.limits import Limits
from services.sessions.roles import CHAIR
from shared.security.caller import Actor, role_missing

_DISCHARGED = (InfusionState.COMPLETED, InfusionState.STOPPED_EARLY)
"""Ends of a visit by a discharge; who left or was transferred was watched for as long as they could be."""

_TIMES = ("scheduled_at", "arrived_at", "pump_started_at", "pump_ended_at", "departed_at")
"""The times of a visit, in their order."""

_OBSERVED = frozenset({"state", "pump_ended_at", "departed_at", "dose_given_mg"})
"""What a discharge is judged by; a correction of none of these leaves a prescriber's decision as it was."""


async def amend(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: AmendInfusion, limits: Limits) -> Taken:
    """Correct an ended record. The corrected whole must hold before every rule on what may have happened.

    What is sent as it is recorded is no correction, and a reason against a rule is none by itself, but one that settles a weight.
    Consent and the readings before the start are not asked for again: they allowed a start, and the record says that there was one.
    A start that is moved to where none was allowed, or where the readings held one, is marked for review.
    """
    infusion, subject = await load(db, actor, infusion_id, Step.AMEND)
    corrections = infusion.differing(body.corrections())
    corrected = {**infusion.model_dump(), **corrections}
    _refuse_impossible(now, corrected, corrected["weight_kg"], limits)
    counted_before = infusion.counted_weight_kg
    refuse_far_apart(actor, now, infusion, body.time_override, *_far_apart(corrected, corrections.keys(), limits))
    counted = await _counted_weight(db, actor, now, infusion, corrected, body, limits, changed="weight_kg" in corrections)
    _refuse_impossible(now, corrected, counted, limits)
    refuse_unusual_dose(actor, now, infusion, corrected["dose_given_mg"], counted, infusion.dose_ordered_mg, body.dose_override, limits)
    if corrected["state"] in _DISCHARGED and not _OBSERVED.isdisjoint(corrections):
        observation = Observation(corrected["pump_ended_at"], corrected["departed_at"], corrected["dose_given_mg"])
        refuse_short_observation(actor, now, infusion, observation, body.observation_override, limits)
    if "pump_started_at" in corrections:
        await refuse_duplicate(db, actor, now, infusion, corrected["pump_started_at"], body.duplicate_confirmation, limits)
    others = await queries.started_beside(db, infusion)
    event = infusion.amend(subject, corrections, others, now, settled=infusion.counted_weight_kg != counted_before)
    await review_course(db, actor, now, infusion, subject, others)
    amended = await record(db, actor, now, infusion, subject, Step.AMEND, event, body.reason)
    marked = await review_moved_start(db, actor, now, infusion, subject, limits) if "pump_started_at" in corrections else None
    return marked or amended


async def restore(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: RestoreVisit, limits: Limits) -> Taken:
    """A check-in, cancellation, no-show or "not done" was a mistake: the visit stands as before it, if it could be booked so now."""
    infusion, subject = await load(db, actor, infusion_id, Step.RESTORE)
    actor.require_version(infusion.version)
    if infusion.state is InfusionState.NOT_DONE and actor.roles.isdisjoint(CHAIR):
        raise role_missing(CHAIR)
    refuse_barred(subject, infusion.scheduled_at, now, starting=False, infusion=infusion)
    await refuse_duplicate(db, actor, now, infusion, infusion.scheduled_at, body.duplicate_confirmation, limits)
    return await record(db, actor, now, infusion, subject, Step.RESTORE, infusion.restore(subject, now), body.reason)


async def request_entered_in_error(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: RequestEnteredInError) -> Taken:
    """One person says that this record should never have existed."""
    infusion, subject = await load(db, actor, infusion_id, Step.ENTERED_IN_ERROR)
    assert actor.practitioner_id is not None
    infusion.request_error(actor.practitioner_id, now)
    return await record(db, actor, now, infusion, subject, Step.ENTERED_IN_ERROR, reason=body.reason)


async def withdraw_entered_in_error(
    db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: WithdrawEnteredInError
) -> Taken:
    """The request was a mistake; the record stays as it is."""
    infusion, subject = await load(db, actor, infusion_id, Step.WITHDRAW_ENTERED_IN_ERROR)
    actor.require_version(infusion.version)
    infusion.withdraw_error_request(now)
    return await record(db, actor, now, infusion, subject, Step.WITHDRAW_ENTERED_IN_ERROR, reason=body.reason)


async def confirm_entered_in_error(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: ConfirmEnteredInError) -> Taken:
    """Another person agrees; the record stays readable and counts no more."""
    infusion, subject = await load(db, actor, infusion_id, Step.CONFIRM_ENTERED_IN_ERROR)
    assert actor.practitioner_id is not None
    event = infusion.confirm_error(subject, actor.practitioner_id, now)
    await review_course(db, actor, now, infusion, subject, await queries.started_beside(db, infusion))
    return await record(db, actor, now, infusion, subject, Step.CONFIRM_ENTERED_IN_ERROR, event, body.reason)


def _far_apart(
    corrected: dict[str, Any],  # Any: columns of several types
    changed: Collection[str],
    limits: Limits,
) -> list[FarApart | None]:
    """The pairs of times that the correction touches."""
    scheduled, arrived, started, ended, departed = (corrected[name] for name in _TIMES)
    times = limits.infusions.times
    pairs = [
        ({"arrived_at"}, rules.far_from_booking(scheduled, arrived, times)),
        ({"arrived_at", "pump_started_at"}, rules.long_after_arrival(arrived, started, times)),
        ({"pump_ended_at", "departed_at"}, rules.long_after_pump(ended, departed, times)),
    ]
    return [found for touched, found in pairs if not touched.isdisjoint(changed)]


async def _counted_weight(
    db: AsyncSession,
    actor: Actor,
    now: datetime,
    infusion: Infusion,
    corrected: dict[str, Any],  # Any: columns of several types
    body: AmendInfusion,
    limits: Limits,
    *,
    changed: bool,
) -> Decimal:
    """The weight by which the corrected dose is judged; a corrected one is held against the patient's others, or what stood here.

    One that stays as it is, is asked about only for a reason that may settle it.
    """
    weight: Decimal = corrected["weight_kg"]
    if body.weight is None or not (changed or body.weight_override):
        return infusion.counted_weight(weight)
    last = await queries.last_given(db, infusion, corrected["pump_started_at"])
    if last.weight_kg is None:
        last = LastGiven(infusion.counted_weight_kg)
    return refuse_unlikely_weight(actor, now, infusion, weight, last, body.weight_override, limits)


def _refuse_impossible(
    now: datetime,
    corrected: dict[str, Any],  # Any: as above
    weight: Decimal,
    limits: Limits,
) -> None:
    """Raises 422 for a corrected record that cannot be, with this weight."""
    started_at, dose = corrected["pump_started_at"], corrected["dose_given_mg"]
    pump = PumpEnd(corrected["pump_ended_at"], dose, corrected["volume_given_ml"], corrected["concentration_mg_per_ml"])
    times = limits.infusions.times
    refuse(
        rules.impossible_weight(weight, limits.infusions.weight_kg, "/weight"),
        rules.not_positive(dose, "/dose_given", zero_allowed=True),
        rules.impossible_fact_time(corrected["arrived_at"], now, times, "/arrived_at"),
        rules.impossible_fact_time(started_at, now, times, "/pump_started_at"),
        rules.out_of_order(corrected["arrived_at"], started_at, "/pump_started_at"),
        *rules.wrong_with_pump(started_at, weight, pump, now, limits.infusions),
        rules.impossible_fact_time(corrected["departed_at"], now, times, "/departed_at"),
        rules.out_of_order(pump.pump_ended_at, corrected["departed_at"], "/departed_at"),
    )
