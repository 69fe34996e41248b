"""What this service does about each event it consumes: one function per event, as thin as a route."""

from collections.abc import Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.infusions import queries
from services.sessions.subjects import commands as subjects
from services.sessions.subjects.models import PatientStatus
from shared.events import Delivery
from shared.events.followup import InfusionEventRequested
from shared.events.intake import (
    ClinicChanged,
    ConsentChanged,
    ConsentRevoked,
    ConsentSigned,
    CourseChanged,
    PatientChanged,
    PatientDeceased,
    PatientWithdrawn,
)
from shared.outbox import emit, tell_again


async def on_clinic_changed(db: AsyncSession, delivery: Delivery[ClinicChanged]) -> None:
    """Know the clinic's zone."""
    await subjects.note_clinic_settings(db, delivery.event)


async def on_patient_changed(db: AsyncSession, delivery: Delivery[PatientChanged]) -> None:
    """Know the patient's number, zone and status."""
    await subjects.note_patient(db, delivery.event)


async def on_patient_deceased(db: AsyncSession, delivery: Delivery[PatientDeceased]) -> None:
    """No infusion is booked or started for the dead."""
    event = delivery.event
    await subjects.note_patient_status(db, event.patient_id, PatientStatus.DECEASED, event.patient_version)


async def on_patient_withdrawn(db: AsyncSession, delivery: Delivery[PatientWithdrawn]) -> None:
    """No infusion is booked or started for those who have left."""
    event = delivery.event
    await subjects.note_patient_status(db, event.patient_id, PatientStatus.WITHDRAWN, event.patient_version)


async def on_consent_changed(db: AsyncSession, delivery: Delivery[ConsentChanged]) -> None:
    """Know whether the consent stands without which nothing starts."""
    await subjects.note_consent_standing(db, delivery.event)


async def on_consent_signed(db: AsyncSession, delivery: Delivery[ConsentSigned]) -> None:
    """Know a signature; it counts only as long as nobody has told how the patient's consent stands."""
    await subjects.note_consent_signed(db, delivery.event)


async def on_consent_revoked(db: AsyncSession, delivery: Delivery[ConsentRevoked]) -> None:
    """Know a revocation: it ends what stood until then, also where an intake of the release before recorded it and told nothing else."""
    await subjects.note_consent_revoked(db, delivery.event)


async def on_course_changed(db: AsyncSession, delivery: Delivery[CourseChanged]) -> None:
    """Know the protocol, the care team, and whether the course runs."""
    await subjects.note_course(db, delivery.event)


async def on_infusion_event_requested(db: AsyncSession, deliveries: Sequence[Delivery[InfusionEventRequested]]) -> None:
    """Say again how these infusions stand, as far as they are over, and what was told of their patients before.

    An event that is missing holds up what comes after it, this answer too. What is not known here has nothing to tell.
    """
    wanted = {delivery.event.infusion_id for delivery in deliveries}
    for infusion, subject in await queries.infusions_with_subjects(db, sorted(wanted)):
        event = infusion.account(subject)
        if event is not None:
            emit(db, event)
    await tell_again(db, producer="sessions", keys={delivery.event.key for delivery in deliveries})
