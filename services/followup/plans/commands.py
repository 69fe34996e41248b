"""From infusions to their follow-up, many at once: the number of statements does not grow with the number of infusions."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans import rebooking, records
from services.followup.plans.keeping_up import keep_up
from services.followup.plans.means import Means
from services.followup.plans.reading import About
from services.followup.plans.record_reviews import record_review
from services.followup.plans.slots import Kind, Told
from services.followup.subjects.commands import Noted, lock_patients, note_infusions
from services.followup.tasks import commands as tasks
from shared.events import Delivery
from shared.events.sessions import EndedInfusionEvent, InfusionEnteredInError, InfusionEvent, InfusionReviewed, InfusionReviewNeeded

LOOKED_AT = "record-looked-at"
"""Why a review of a record ended: it was settled where the record is."""


async def follow(db: AsyncSession, means: Means, deliveries: Sequence[Delivery[EndedInfusionEvent]]) -> None:
    """Give ended infusions their follow-up, or correct it where it exists. What is older than what is known changes nothing."""
    events = {delivery.event.infusion_id: delivery for delivery in sorted(deliveries, key=lambda one: one.event.infusion_version)}
    standings = await lock_patients(db, [delivery.event.patient_id for delivery in deliveries])
    noted = await note_infusions(db, [delivery.event for delivery in deliveries])
    told = [Told.of(events[infusion_id]) for infusion_id in sorted(noted)]
    new = await records.take_over(db, means, told, standings)
    await _keep_up(db, means, {one.patient_id: one.event_id for one in told}, noted.values(), without_record=new)


async def ask_for_new_visits(db: AsyncSession, means: Means, deliveries: Sequence[Delivery[InfusionEvent]]) -> None:
    """A visit without an infusion: somebody books a new one, unless the patient has left or died."""
    await lock_patients(db, [delivery.event.patient_id for delivery in deliveries])
    noted = await note_infusions(db, [delivery.event for delivery in deliveries])
    await _keep_up(db, means, {one.event.patient_id: one.event_id for one in deliveries if one.event.infusion_id in noted}, noted.values())


async def note_visits(db: AsyncSession, means: Means, deliveries: Sequence[Delivery[InfusionEvent]]) -> None:
    """Know of visits that were booked or have begun; what was asked for a visit ends by the one that is booked."""
    standings = await lock_patients(db, [delivery.event.patient_id for delivery in deliveries])
    noted = await note_infusions(db, [delivery.event for delivery in deliveries])
    told = [delivery for delivery in deliveries if delivery.event.infusion_id in noted]
    await rebooking.close(db, [one for one in told if noted[one.event.infusion_id].news], means.now())
    await rebooking.be_back_for(db, means, told, standings)
    await _keep_up(db, means, {one.event.patient_id: one.event_id for one in told}, noted.values())


async def void(db: AsyncSession, means: Means, delivery: Delivery[InfusionEnteredInError]) -> None:
    """Two people agreed that this infusion's record should never have existed. Answers and reviews stay, for they tell of somebody."""
    await lock_patients(db, [delivery.event.patient_id])
    if noted := await note_infusions(db, [delivery.event]):
        await _keep_up(db, means, {delivery.event.patient_id: delivery.event_id}, noted.values())


async def keep_up_with(db: AsyncSession, means: Means, patient_id: UUID, event_id: UUID) -> None:
    """A fact of this patient has changed."""
    await lock_patients(db, [patient_id])
    await _keep_up(db, means, {patient_id: event_id})


async def _keep_up(
    db: AsyncSession,
    means: Means,
    caused_by: Mapping[UUID, UUID],
    noted: Collection[Noted] | None = None,
    *,
    without_record: Collection[UUID] = (),
) -> None:
    """``noted`` are the infusions that were told of, where only these were; ``without_record`` had no record that could change."""
    if not caused_by:
        return
    about = None if noted is None else [About(one.patient_id, one.infusion_id, one.starts) for one in noted]
    await keep_up(db, means.followed_by, caused_by, means.now(), caused_by=caused_by, about=about)
    if about is None:
        await records.restate(db, means, patients=caused_by)
    else:
        await records.restate(db, means, infusions={one.infusion_id for one in about} - set(without_record))


async def ask_for_review(db: AsyncSession, means: Means, delivery: Delivery[InfusionReviewNeeded]) -> None:
    """Something was found out about an infusion: a prescriber looks at its record. Told again it is the same task."""
    await lock_patients(db, [delivery.event.patient_id])
    await tasks.add(db, [record_review(delivery, means.followed_by.default, means.now())])


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
