"""From infusions to their follow-up, many at once: the number of statements does not grow with the number of infusions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans import corrections, items, next_infusion, offers, rebooking, weeks
from services.followup.plans.means import Means, clinic_zone
from services.followup.plans.models import Plan, PlanStatus
from services.followup.plans.rules import follow_up, office_task, record_review
from services.followup.plans.slots import Item, Kind, Told
from services.followup.reasons import Reason, ReasonCode
from services.followup.subjects.commands import Standing, lock_patients, note_infusions
from services.followup.tables import arrays_of, rows_of, types_of
from services.followup.tasks import commands as tasks
from shared.db import clinic_of
from shared.events import Delivery
from shared.events.sessions import EndedInfusionEvent, InfusionEvent, InfusionReviewed, InfusionReviewNeeded
from shared.events.zones import zone_of
from shared.statements import Statement

LOOKED_AT = "record-looked-at"
"""Why a review of a record ended: it was settled where the record is."""


async def follow(db: AsyncSession, means: Means, deliveries: Sequence[Delivery[EndedInfusionEvent]]) -> None:
    """Give ended infusions their follow-up, or correct it where it exists. What is older than what is known changes nothing."""
    now = means.now()
    events = {delivery.event.infusion_id: delivery for delivery in sorted(deliveries, key=lambda one: one.event.infusion_version)}
    standings = await lock_patients(db, [delivery.event.patient_id for delivery in deliveries])
    noted = await note_infusions(db, [delivery.event for delivery in deliveries])
    told = [Told.of(events[infusion_id]) for infusion_id in sorted(noted)]
    plans = await _new_plans(db, means, [one for one in told if one.infusion.drug_given], standings, now)
    begun = [one for one in told if one.infusion.infusion_id in plans]
    await _begin(db, means, begun, plans, standings, now)
    await _no_new_visit(db, [one.infusion.infusion_id for one in begun if noted[one.infusion.infusion_id].drug_given is False], now)
    for one in told:
        if one.infusion.infusion_id not in plans:
            await corrections.correct(db, means, one, standings[one.patient_id], now)
    # Asked here as well, so that a patient's first infusion, the counted way, does not pass through that file at all.
    if any(one.among_others for one in noted.values()):
        await next_infusion.make_way(db, means, noted.values(), standings, now)
    left = [(standings[one.patient_id], one.event_id) for one in told if means.called_off(standings[one.patient_id])]
    if left:
        await offers.offer_safety(db, means, left, now)


async def ask_for_new_visits(db: AsyncSession, means: Means, deliveries: Sequence[Delivery[InfusionEvent]]) -> None:
    """A visit without an infusion: somebody books a new one, unless the patient has left or died."""
    now = means.now()
    standings = await lock_patients(db, [delivery.event.patient_id for delivery in deliveries])
    noted = await note_infusions(db, [delivery.event for delivery in deliveries])
    new = []
    for delivery in deliveries:
        event, standing = delivery.event, standings[delivery.event.patient_id]
        if event.infusion_id in noted and means.called_off(standing) is None:
            reason = Reason(ReasonCode.NO_INFUSION, {"state": event.state})
            whose = items.Whose.of_event(event, delivery.event_id)
            zone = clinic_zone(standing, zone_of(event.patient_time_zone))
            slot = office_task(Kind.REBOOK, reason, means.protocols.default, now, zone)
            new.append(items.new_task(whose, Item(slot), now))
    await tasks.add(db, new)


async def note_visits(db: AsyncSession, means: Means, deliveries: Sequence[Delivery[InfusionEvent]]) -> None:
    """Know of visits that were booked or have begun; C72 of the infusion before gives way to one that has, a booked one was asked for."""
    standings = await lock_patients(db, [delivery.event.patient_id for delivery in deliveries])
    noted = await note_infusions(db, [delivery.event for delivery in deliveries])
    await next_infusion.make_way(db, means, noted.values(), standings, means.now())
    told = [delivery for delivery in deliveries if delivery.event.infusion_id in noted]
    await rebooking.close(db, [one for one in told if noted[one.event.infusion_id].news], means.now())
    await rebooking.be_back_for(db, means, told, standings)


async def ask_for_review(db: AsyncSession, means: Means, delivery: Delivery[InfusionReviewNeeded]) -> None:
    """Something was found out about an infusion: a prescriber looks at its record. Told again it is the same task."""
    event, now = delivery.event, means.now()
    await lock_patients(db, [event.patient_id])
    zone = zone_of(event.patient_time_zone)
    slot = record_review(event.code, event.started_at, zone, means.protocols.default, now, ordinal=event.number)
    # It names the infusion and does not fall with it: what happened stays to be looked at.
    whose = items.Whose(event.patient_id, event.patient_number, "Infusion", event.infusion_id, caused_by=delivery.event_id)
    await tasks.add(db, [items.new_task(whose, Item(slot), now)])


async def close_reviews(db: AsyncSession, means: Means, delivery: Delivery[InfusionReviewed]) -> None:
    """What was found out about an infusion was looked at on its record: nobody is to look again. What is found out later is a new task."""
    event = delivery.event
    await lock_patients(db, [event.patient_id])
    await tasks.cancel_open(
        db,
        now=means.now(),
        focus_ids=[event.infusion_id],
        only=[Kind.RECORD_REVIEW],
        up_to=event.number,
        reason=LOOKED_AT,
        caused_by=delivery.event_id,
    )


async def _new_plans(
    db: AsyncSession, means: Means, told: Sequence[Told], standings: Mapping[UUID, Standing], now: datetime
) -> dict[UUID, UUID]:
    """Make the plans of infusions that have none; returns the new plans' ids by infusion."""
    if not told:
        return {}
    rows = arrays_of(_PLAN, [_row_of(one, means, standings[one.patient_id], now) for one in told])
    made = await _MAKE.rows(db, **rows, clinic_id=clinic_of(db))
    return {row["infusion_id"]: row["plan_id"] for row in made}


async def _begin(
    db: AsyncSession, means: Means, told: Sequence[Told], plans: Mapping[UUID, UUID], standings: Mapping[UUID, Standing], now: datetime
) -> None:
    await weeks.begin(db, means, [one for one in told if one.first_of_course], now)
    sets = []
    for one in told:
        standing, protocol = standings[one.patient_id], means.protocols.get(one.protocol_code, one.protocol_version)
        zone, called_off = clinic_zone(standing, one.infusion.zone), means.called_off(standing)
        follows = follow_up(one.infusion, protocol, now, clinic_zone=zone, called_off=called_off)
        sets.append((one, plans[one.infusion.infusion_id], follows))
    await items.make(db, sets, now)


async def _no_new_visit(db: AsyncSession, infusion_ids: Sequence[UUID], now: datetime) -> None:
    """What was said to have given nothing gave something after all."""
    if infusion_ids:
        await tasks.cancel_open(db, now=now, infusion_ids=infusion_ids, only=[Kind.REBOOK], reason="drug-given")


_PLAN = types_of(
    Plan, "plan_id", "infusion_id", "infusion_version", "patient_id", "patient_number", "patient_time_zone", "course_id",
    "protocol_code", "protocol_version", "asked_protocol", "outcome", "started_at", "pump_ended_at", "discharged_at",
    "first_of_course", "therapist_id", "coordinator_id", "status", "status_reason", "made_at",
)  # fmt: skip


def _row_of(told: Told, means: Means, standing: Standing, now: datetime) -> dict[str, object]:
    infusion, protocol = told.infusion, means.protocols.get(told.protocol_code, told.protocol_version)
    known = (protocol.code, protocol.version) == (told.protocol_code, told.protocol_version)
    called_off = means.called_off(standing)
    return {
        "plan_id": uuid4(),
        "infusion_id": infusion.infusion_id,
        "infusion_version": told.version,
        "patient_id": told.patient_id,
        "patient_number": told.patient_number,
        "patient_time_zone": infusion.zone.key,
        "course_id": told.course_id,
        "protocol_code": protocol.code,
        "protocol_version": protocol.version,
        "asked_protocol": None if known else f"{told.protocol_code}-v{told.protocol_version}",
        "outcome": infusion.outcome.value,
        "started_at": infusion.started_at,
        "pump_ended_at": infusion.pump_ended_at,
        "discharged_at": infusion.discharged_at,
        "first_of_course": told.first_of_course,
        "therapist_id": infusion.therapist_id,
        "coordinator_id": infusion.coordinator_id,
        "status": (PlanStatus.REVOKED if called_off else PlanStatus.ACTIVE).value,
        "status_reason": called_off.reason if called_off else None,
        "made_at": now,
    }


_MAKE = Statement(
    f"""
    INSERT INTO plan (clinic_id, generation, version, changed_at, {", ".join(_PLAN)})
    SELECT CAST(:clinic_id AS uuid), 0, 1, made_at, {", ".join(_PLAN)} FROM {rows_of(_PLAN)}
    ON CONFLICT (clinic_id, infusion_id) DO NOTHING RETURNING infusion_id, plan_id
    """  # noqa: S608 - column names of our own
)
