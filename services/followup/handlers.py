"""What this service does about each event it consumes: one function per event, as thin as a route."""

from collections.abc import Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.outreach import commands as outreach
from services.followup.outreach import corrections
from services.followup.plans import commands as plans
from services.followup.plans.means import Means
from services.followup.subjects import commands as subjects
from services.followup.subjects.models import PatientStatus
from services.followup.tasks import owners
from shared.events import Delivery
from shared.events.intake import (
    ClinicChanged,
    ConsentChanged,
    ConsentRevoked,
    ConsentSigned,
    CourseChanged,
    PatientChanged,
    PatientDeceased,
    PatientWithdrawn,
    PractitionerChanged,
)
from shared.events.sessions import EndedInfusionEvent, InfusionEnteredInError, InfusionEvent, InfusionReviewed, InfusionReviewNeeded

TREATMENT = "treatment"
"""The consent type that follow-up depends on; that of messages counts where they are sent."""


async def on_infusion_ended(means: Means, db: AsyncSession, deliveries: Sequence[Delivery[EndedInfusionEvent]]) -> None:
    """Completed, stopped early, left against advice, transferred or amended: the follow-up of these infusions."""
    await plans.follow(db, means, deliveries)


async def on_no_infusion(means: Means, db: AsyncSession, deliveries: Sequence[Delivery[InfusionEvent]]) -> None:
    """Not done, no-show or cancelled: somebody books a new visit."""
    await plans.ask_for_new_visits(db, means, deliveries)


async def on_infusion_ahead(means: Means, db: AsyncSession, deliveries: Sequence[Delivery[InfusionEvent]]) -> None:
    """Scheduled or started: know of it, and let the infusion before make way."""
    await plans.note_visits(db, means, deliveries)


async def on_infusion_entered_in_error(means: Means, db: AsyncSession, delivery: Delivery[InfusionEnteredInError]) -> None:
    """The record should never have existed, and so should not its follow-up."""
    await plans.void(db, means, delivery)


async def on_review_needed(means: Means, db: AsyncSession, delivery: Delivery[InfusionReviewNeeded]) -> None:
    """Something was found out about an infusion that a prescriber must look at."""
    await plans.ask_for_review(db, means, delivery)


async def on_reviewed(means: Means, db: AsyncSession, delivery: Delivery[InfusionReviewed]) -> None:
    """A prescriber has looked at it."""
    await plans.close_reviews(db, means, delivery)


async def on_practitioner_changed(means: Means, db: AsyncSession, deliveries: Sequence[Delivery[PractitionerChanged]]) -> None:
    """Know who works here with which roles; what somebody has and may not have any more is for everybody again."""
    await owners.note_practitioners(db, means.policy, deliveries, means.now())


async def on_clinic_changed(db: AsyncSession, delivery: Delivery[ClinicChanged]) -> None:
    """Know the clinic's zone."""
    await subjects.note_clinic(db, delivery.event)


async def on_patient_changed(means: Means, db: AsyncSession, delivery: Delivery[PatientChanged]) -> None:
    """Know the patient's number and zone; the status too, should its own event not have come, and that one was recorded by mistake.

    Messages may go another way from now on, or wait for another morning.
    """
    await subjects.note_patient(db, delivery.event)
    await plans.keep_up_with(db, means, delivery.event.patient_id, delivery.event_id)
    await corrections.ask_anew(db, delivery.event.patient_id, delivery.event.contact_version or 1, means.clock.now())
    await outreach.look_again(db, delivery.event.patient_id, means.clock.now())


async def on_patient_deceased(means: Means, db: AsyncSession, delivery: Delivery[PatientDeceased]) -> None:
    """Nothing more is asked of the patient, in this same transaction."""
    await subjects.note_patient_status(db, delivery.event, PatientStatus.DECEASED)
    await plans.keep_up_with(db, means, delivery.event.patient_id, delivery.event_id)


async def on_patient_withdrawn(means: Means, db: AsyncSession, delivery: Delivery[PatientWithdrawn]) -> None:
    """Nothing more is asked of the patient, but for the offer of a safety call soon after an infusion."""
    await subjects.note_patient_status(db, delivery.event, PatientStatus.WITHDRAWN)
    await plans.keep_up_with(db, means, delivery.event.patient_id, delivery.event_id)


async def on_consent_changed(means: Means, db: AsyncSession, delivery: Delivery[ConsentChanged]) -> None:
    """Without consent to treatment nothing is asked automatically any more; with one, follow-up of later infusions goes on as usual.

    What asks after an infusion that was given stays, and the integration session is offered. Signed again, it restores the rest.
    """
    event = delivery.event
    if event.consent_type == TREATMENT:
        await subjects.note_treatment_standing(db, event)
        await plans.keep_up_with(db, means, event.patient_id, delivery.event_id)


async def on_consent_signed(means: Means, db: AsyncSession, delivery: Delivery[ConsentSigned]) -> None:
    """From an intake of the release before; it counts only as long as nobody has told how the patient's consent stands."""
    event = delivery.event
    if event.consent_type == TREATMENT:
        await subjects.note_treatment_signed(db, event.patient_id, event.signed_at)
        await plans.keep_up_with(db, means, event.patient_id, delivery.event_id)


async def on_consent_revoked(means: Means, db: AsyncSession, delivery: Delivery[ConsentRevoked]) -> None:
    """From an intake of the release before, which tells no decision: it ends what stood until then, and nothing that was signed since."""
    event = delivery.event
    if event.consent_type == TREATMENT:
        await subjects.note_treatment_revoked(db, event.patient_id, event.occurred_at)
        await plans.keep_up_with(db, means, event.patient_id, delivery.event_id)


async def on_course_changed(means: Means, db: AsyncSession, delivery: Delivery[CourseChanged]) -> None:
    """Know whether the course runs; its weekly check-ins end with it and go on when it is taken up again."""
    await subjects.note_course(db, delivery.event)
    await plans.keep_up_with(db, means, delivery.event.patient_id, delivery.event_id)
