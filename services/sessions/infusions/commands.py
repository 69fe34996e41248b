"""Use cases of a visit: load with lock, check what the rules say, take the step, keep the version, tell the others."""

from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.infusions import queries, rules
from services.sessions.infusions.models import Infusion
from services.sessions.infusions.refusals import (
    refuse,
    refuse_barred,
    refuse_duplicate,
    refuse_early_no_show,
    refuse_far_apart,
    refuse_held,
    refuse_short_observation,
    refuse_unlikely_weight,
    refuse_unusual_dose,
)
from services.sessions.infusions.reviews import review_entered_start
from services.sessions.infusions.rules import Observation, Order, PumpEnd
from services.sessions.infusions.schemas import (
    CancelInfusion,
    CheckIn,
    CompleteInfusion,
    EndPump,
    LeaveAgainstAdvice,
    NotDone,
    Override,
    RescheduleInfusion,
    ScheduleInfusion,
    StartInfusion,
    StopEarly,
    TransferPatient,
)
from services.sessions.infusions.standing import Difference
from services.sessions.infusions.states import InfusionState, Step
from services.sessions.infusions.steps import Taken, load, record, review_course
from services.sessions.limits import Limits
from services.sessions.subjects.models import Subject
from services.sessions.subjects.queries import get_subject_for_booking, treatment_consented
from shared.db import clinic_of
from shared.errors import FieldError, Invalid
from shared.security.caller import Actor


async def schedule(db: AsyncSession, actor: Actor, now: datetime, body: ScheduleInfusion, limits: Limits) -> Taken:
    """Book a visit. Raises 422 for what is unknown or impossible, 409 when patient or course forbids it or it looks like a duplicate."""
    subject = await get_subject_for_booking(db, body.patient_id, body.course_id)
    refuse(rules.impossible_booking_time(body.scheduled_at, now, limits.infusions.times, "/scheduled_at"))
    refuse_barred(subject, body.scheduled_at, now, starting=False)
    infusion = Infusion(
        clinic_id=clinic_of(db), patient_id=body.patient_id, course_id=body.course_id, scheduled_at=body.scheduled_at, changed_at=now
    )
    await refuse_duplicate(db, actor, now, infusion, body.scheduled_at, body.duplicate_confirmation, limits)
    event = infusion.book(subject, now)
    return await record(db, actor, now, infusion, subject, "schedule", event)


async def reschedule(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: RescheduleInfusion, limits: Limits) -> Taken:
    """Move a booking; refused as a new booking would be."""
    infusion, subject = await load(db, actor, infusion_id, Step.RESCHEDULE)
    refuse(rules.impossible_booking_time(body.scheduled_at, now, limits.infusions.times, "/scheduled_at"))
    refuse_barred(subject, body.scheduled_at, now, starting=False, infusion=infusion)
    await refuse_duplicate(db, actor, now, infusion, body.scheduled_at, body.duplicate_confirmation, limits)
    event = infusion.reschedule(subject, body.scheduled_at, now)
    return await record(db, actor, now, infusion, subject, Step.RESCHEDULE, event, body.reason)


async def check_in(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: CheckIn, limits: Limits) -> Taken:
    """The patient has arrived, now or at the time given."""
    infusion, subject = await load(db, actor, infusion_id, Step.CHECK_IN)
    arrived_at = body.arrived_at or now
    refuse(rules.impossible_fact_time(arrived_at, now, limits.infusions.times, "/arrived_at"))
    refuse_far_apart(
        actor, now, infusion, body.time_override, rules.far_from_booking(infusion.scheduled_at, arrived_at, limits.infusions.times)
    )
    infusion.check_in(arrived_at, now)
    return await record(db, actor, now, infusion, subject, Step.CHECK_IN)


async def cancel(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: CancelInfusion) -> Taken:
    """Give a booking up before check-in."""
    infusion, subject = await load(db, actor, infusion_id, Step.CANCEL)
    event = infusion.cancel(subject, body.cancelled_by, body.reason, now)
    return await record(db, actor, now, infusion, subject, Step.CANCEL, event, body.reason)


async def no_show(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, limits: Limits) -> Taken:
    """The patient did not come."""
    infusion, subject = await load(db, actor, infusion_id, Step.NO_SHOW)
    refuse_early_no_show(infusion, now, limits)
    return await record(db, actor, now, infusion, subject, Step.NO_SHOW, infusion.miss(subject, now))


async def not_done(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: NotDone) -> Taken:
    """The patient came and no drug was given."""
    infusion, subject = await load(db, actor, infusion_id, Step.NOT_DONE)
    return await record(db, actor, now, infusion, subject, Step.NOT_DONE, infusion.not_do(subject, body.reason, now), body.reason)


async def start(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: StartInfusion, limits: Limits) -> Taken:
    """Start the pump. Raises 422 for what cannot be, 409 for what must not be or needs somebody's decision first."""
    infusion, subject = await load(db, actor, infusion_id, Step.START)
    order = Order(body.pump_started_at, body.weight.value, body.dose_ordered.value)
    dose, weight = order.dose_ordered_mg, order.weight_kg
    refuse(
        rules.impossible_weight(weight, limits.infusions.weight_kg, "/weight"),
        rules.not_positive(dose, "/dose_ordered"),
        rules.over_hard_limit(dose, weight, limits.infusions.dose, "/dose_ordered"),
        rules.impossible_fact_time(order.pump_started_at, now, limits.infusions.times, "/pump_started_at"),
        rules.out_of_order(infusion.arrived_at, order.pump_started_at, "/pump_started_at"),
    )
    refuse_barred(subject, order.pump_started_at, now, starting=True, infusion=infusion)
    if not await treatment_consented(db, infusion.patient_id, order.pump_started_at):
        raise infusion.refusal("consent-missing", "No treatment consent is valid at the start.")
    apart = rules.long_after_arrival(infusion.arrived_at, order.pump_started_at, limits.infusions.times)
    refuse_far_apart(actor, now, infusion, body.time_override, apart)
    await refuse_held(db, actor, now, infusion, order.pump_started_at, body.hold_override, limits)
    last = await queries.last_given(db, infusion, order.pump_started_at)
    counted = refuse_unlikely_weight(actor, now, infusion, weight, last, body.weight_override, limits)
    refuse(rules.over_hard_limit(dose, counted, limits.infusions.dose, "/dose_ordered"))
    refuse_unusual_dose(actor, now, infusion, dose, counted, last.dose_mg, body.dose_override, limits)
    await refuse_duplicate(db, actor, now, infusion, order.pump_started_at, body.duplicate_confirmation, limits)
    differs = await _consent_today(db, now, infusion, order.pump_started_at)
    started = await record(db, actor, now, infusion, subject, Step.START, infusion.start(subject, order, now), differs=differs)
    return await review_entered_start(db, actor, now, infusion, subject, limits) or started


async def end_pump(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: EndPump, limits: Limits) -> Taken:
    """The pump has run to its end: more than nothing was given."""
    infusion, subject = await load(db, actor, infusion_id, Step.PUMP_END)
    pump = _checked_pump(actor, now, infusion, body, limits, zero_allowed=False)
    others = await queries.started_beside(db, infusion)
    infusion.end_pump(pump, others, now)
    await review_course(db, actor, now, infusion, subject, others)
    return await record(db, actor, now, infusion, subject, Step.PUMP_END)


async def stop_early(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: StopEarly, limits: Limits) -> Taken:
    """The pump was stopped before its time, perhaps before it gave anything. The record goes to recovery, marked as aborted."""
    infusion, subject = await load(db, actor, infusion_id, Step.STOP_EARLY)
    pump = _checked_pump(actor, now, infusion, body, limits, zero_allowed=True)
    others = await queries.started_beside(db, infusion)
    infusion.stop_early(pump, body.reason_code, body.reason, others, now)
    await review_course(db, actor, now, infusion, subject, others)
    return await record(db, actor, now, infusion, subject, Step.STOP_EARLY, reason=body.reason)


async def complete(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: CompleteInfusion, limits: Limits) -> Taken:
    """Close the record after discharge, as completed or, when it was aborted, as stopped-early."""
    infusion, subject = await load(db, actor, infusion_id, Step.COMPLETE)
    _refuse_departure(actor, now, infusion, body.discharged_at, body.time_override, limits, "/discharged_at")
    assert infusion.pump_ended_at is not None
    assert infusion.dose_given_mg is not None
    observation = Observation(infusion.pump_ended_at, body.discharged_at, infusion.dose_given_mg)
    refuse_short_observation(actor, now, infusion, observation, body.observation_override, limits)
    return await record(db, actor, now, infusion, subject, Step.COMPLETE, infusion.complete(subject, body.discharged_at, now))


async def leave_against_advice(
    db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: LeaveAgainstAdvice, limits: Limits
) -> Taken:
    """The patient left before discharge; while the pump still runs, its end comes with the body."""
    infusion, subject = await load(db, actor, infusion_id, Step.LEAVE_AGAINST_ADVICE)
    await _end_pump_first(db, actor, now, infusion, subject, body.pump_end, limits)
    _refuse_departure(actor, now, infusion, body.left_at, body.time_override, limits, "/left_at")
    event = infusion.leave(subject, body.left_at, body.reason, now)
    return await record(db, actor, now, infusion, subject, Step.LEAVE_AGAINST_ADVICE, event, body.reason)


async def transfer(db: AsyncSession, actor: Actor, now: datetime, infusion_id: UUID, body: TransferPatient, limits: Limits) -> Taken:
    """Emergency care took over; while the pump still runs, its end comes with the body."""
    infusion, subject = await load(db, actor, infusion_id, Step.TRANSFER)
    await _end_pump_first(db, actor, now, infusion, subject, body.pump_end, limits)
    _refuse_departure(actor, now, infusion, body.transferred_at, body.time_override, limits, "/transferred_at")
    event = infusion.transfer(subject, body.transferred_at, body.reason, now)
    return await record(db, actor, now, infusion, subject, Step.TRANSFER, event, body.reason)


async def _consent_today(db: AsyncSession, now: datetime, infusion: Infusion, started_at: datetime) -> list[Difference]:
    """Consent that stood at a start of the past and stands no more."""
    if started_at >= now or await treatment_consented(db, infusion.patient_id, now):
        return []
    return [Difference("consent-missing", None)]


def _refuse_departure(
    actor: Actor, now: datetime, infusion: Infusion, at: datetime, override: Override | None, limits: Limits, pointer: str
) -> None:
    refuse(
        rules.impossible_fact_time(at, now, limits.infusions.times, pointer),
        rules.out_of_order(infusion.pump_ended_at, at, pointer),
    )
    assert infusion.pump_ended_at is not None
    refuse_far_apart(actor, now, infusion, override, rules.long_after_pump(infusion.pump_ended_at, at, limits.infusions.times))


def _checked_pump(
    actor: Actor, now: datetime, infusion: Infusion, body: EndPump, limits: Limits, *, zero_allowed: bool, below: str = ""
) -> PumpEnd:
    """The pump's end as recorded, or 422 with pointers below ``below``."""
    pump = body.as_pump_end()
    assert infusion.pump_started_at is not None
    assert infusion.counted_weight_kg is not None
    refuse(
        rules.not_positive(pump.dose_given_mg, f"{below}/dose_given", zero_allowed=zero_allowed),
        *rules.wrong_with_pump(infusion.pump_started_at, infusion.counted_weight_kg, pump, now, limits.infusions, below),
    )
    refuse_unusual_dose(
        actor, now, infusion, pump.dose_given_mg, infusion.counted_weight_kg, infusion.dose_ordered_mg, body.dose_override, limits
    )
    return pump


async def _end_pump_first(
    db: AsyncSession, actor: Actor, now: datetime, infusion: Infusion, subject: Subject, body: EndPump | None, limits: Limits
) -> None:
    """Record the end of a pump that still runs, as a version of its own."""
    if infusion.state is not InfusionState.IN_PROGRESS:
        if body is not None:
            raise Invalid("not-expected", "The pump has already ended.", errors=[FieldError("/pump_end", "not-expected", "nothing")])
        return
    if body is None:
        raise Invalid("required", "The pump still runs.", errors=[FieldError("/pump_end", "required", "when it ended and what it gave")])
    pump = _checked_pump(actor, now, infusion, body, limits, zero_allowed=True, below="/pump_end")
    others = await queries.started_beside(db, infusion)
    infusion.end_pump(pump, others, now)
    await review_course(db, actor, now, infusion, subject, others)
    await record(db, actor, now, infusion, subject, Step.PUMP_END)
