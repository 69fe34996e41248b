"""Events of sessions: what happened to infusions, with every fact that follow-up needs to act without asking back."""

from uuid import UUID

from pydantic import AwareDatetime

from shared.events.registry import Event, event
from shared.events.zones import ZoneName


class InfusionEvent(Event):
    """What every infusion event says about its infusion."""

    infusion_id: UUID
    infusion_version: int
    """Grows by one with every change of the record; a consumer ignores what is older than what it has."""
    patient_id: UUID
    patient_number: str
    patient_time_zone: ZoneName
    course_id: UUID
    protocol_code: str
    protocol_version: int
    therapist_id: UUID | None
    coordinator_id: UUID | None

    @property
    def state(self) -> str:
        """What the infusion became: the event's own name says it."""
        return self.type.name.rpartition(".")[2]


class EndedInfusionEvent(InfusionEvent):
    """An infusion that was started and has ended."""

    drug_given: bool
    """Whether more than 0 mg were given. The dose itself never leaves sessions."""
    started_at: AwareDatetime
    pump_ended_at: AwareDatetime
    """T0 of all follow-up: the moment the pump stopped."""
    first_of_course: bool
    """Whether this is the course's first infusion with drug given: its local date is course day 0."""


@event("sessions", "infusion.scheduled", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionScheduled(InfusionEvent):
    """A visit was booked, or its booking moved."""

    scheduled_at: AwareDatetime


@event("sessions", "infusion.started", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionStarted(InfusionEvent):
    """The pump was started."""

    started_at: AwareDatetime


@event("sessions", "infusion.completed", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionCompleted(EndedInfusionEvent):
    """The infusion ran to its end and the patient was discharged by a clinician."""


@event("sessions", "infusion.stopped-early", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionStoppedEarly(EndedInfusionEvent):
    """The infusion was aborted and the patient was discharged by a clinician."""


@event("sessions", "infusion.left-against-advice", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionLeftAgainstAdvice(EndedInfusionEvent):
    """The patient left before discharge."""


@event("sessions", "infusion.transferred", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionTransferred(EndedInfusionEvent):
    """The patient was transferred to emergency care."""


@event("sessions", "infusion.not-done", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionNotDone(InfusionEvent):
    """The patient came, no drug was given."""


@event("sessions", "infusion.no-show", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionNoShow(InfusionEvent):
    """The patient did not come."""


@event("sessions", "infusion.cancelled", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionCancelled(InfusionEvent):
    """The booking was cancelled before check-in."""

    cancelled_by: str
    """patient or clinic."""


@event("sessions", "infusion.amended", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionAmended(EndedInfusionEvent):
    """The record of an ended infusion was corrected; carries the whole corrected state."""

    outcome: str
    """completed, stopped-early, left-against-advice or transferred."""

    @property
    def state(self) -> str:
        """A corrected record is what it says."""
        return self.outcome


@event("sessions", "infusion.review-needed", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionReviewNeeded(Event):
    """Something was found out later about an infusion that a prescriber must look at. How the infusion stands is not told by it."""

    infusion_id: UUID
    patient_id: UUID
    patient_number: str
    patient_time_zone: ZoneName
    code: str
    """start-held: the start would have been held by what is known now. start-barred: it was corrected to a time at which nothing might have
    been started. start-before-hold: it was entered after readings that held it, and dated before them. A later release may know others.
    """
    number: int
    """Counts what was found out about one infusion, from 1."""
    started_at: AwareDatetime


@event("sessions", "infusion.reviewed", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionReviewed(Event):
    """Somebody looked at all that had been found out about an infusion until then, and wrote on the record what came of it."""

    infusion_id: UUID
    patient_id: UUID
    number: int
    """Of the last finding that was looked at, as ``InfusionReviewNeeded`` counts them; those before are settled as well."""


@event("sessions", "infusion.entered-in-error", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionEnteredInError(InfusionEvent):
    """Two people agreed that this record should never have existed."""
