"""Events of followup: what became of check-ins, and what it asks of others."""

from uuid import UUID

from shared.events.registry import Event, event


@event("followup", "check-in.submitted", subject=("CheckIn", "check_in_id"), key="patient_id")
class CheckInSubmitted(Event):
    """The patient answered. The answers stay in followup."""

    check_in_id: UUID
    patient_id: UUID
    infusion_id: UUID | None
    code: str
    late: bool


@event("followup", "check-in.overdue", subject=("CheckIn", "check_in_id"), key="patient_id")
class CheckInOverdue(Event):
    """No answer came in time."""

    check_in_id: UUID
    patient_id: UUID
    infusion_id: UUID | None
    code: str


@event("followup", "infusion.event-requested", subject=("Infusion", "infusion_id"), key="patient_id")
class InfusionEventRequested(Event):
    """The completeness audit found an ended infusion without its follow-up and asks sessions to say again how it stands."""

    infusion_id: UUID
    patient_id: UUID
