"""The values of a plan: an ended infusion as it was told of, and the tasks and check-ins that follow it, with their times."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from services.followup.reasons import Fact, moment
from shared.events import Delivery
from shared.events.sessions import EndedInfusionEvent, InfusionAmended
from shared.events.zones import zone_of


class InfusionOutcome(StrEnum):
    """How an infusion that was started ended."""

    COMPLETED = "completed"
    STOPPED_EARLY = "stopped-early"
    LEFT_AGAINST_ADVICE = "left-against-advice"
    TRANSFERRED = "transferred"


class Kind(StrEnum):
    """The kinds of tasks that follow from infusions and from what is heard about patients."""

    INTEGRATION = "integration-session"
    STAFF_CHECK_IN = "staff-check-in"
    SAME_EVENING_CALL = "same-evening-call"
    LEFT_AGAINST_ADVICE = "left-against-advice"
    CATCH_UP = "catch-up-call"
    SAFETY_OFFER = "safety-offer-call"
    DUE_TIME_REVIEW = "due-time-review"
    REBOOK = "rebook"
    CANCELLATION_REVIEW = "cancellation-review"
    RECORD_REVIEW = "record-review"


@dataclass(frozen=True, slots=True)
class EndedInfusion:
    """What the rules need to know of an infusion. ``discharged_at`` is None where only a correction has told of it."""

    infusion_id: UUID
    zone: ZoneInfo
    outcome: InfusionOutcome
    drug_given: bool
    started_at: datetime
    pump_ended_at: datetime
    discharged_at: datetime | None = None
    therapist_id: UUID | None = None
    coordinator_id: UUID | None = None

    @property
    def facts(self) -> dict[str, Fact]:
        """What a task tells of the infusion that it follows."""
        return {"outcome": self.outcome.value, "ended_at": moment(self.pump_ended_at), "zone": self.zone.key}


@dataclass(frozen=True, slots=True)
class Told:
    """One infusion that was started and has ended, and the event that told of it."""

    infusion: EndedInfusion
    version: int
    patient_id: UUID
    patient_number: str
    course_id: UUID
    protocol_code: str
    protocol_version: int
    first_of_course: bool
    event_id: UUID

    @classmethod
    def of(cls, delivery: Delivery[EndedInfusionEvent]) -> "Told":
        """Raises ValueError for an outcome or a zone that is not known here; the event is then parked for a person to look at."""
        event = delivery.event
        return cls(
            infusion=EndedInfusion(
                infusion_id=event.infusion_id,
                zone=zone_of(event.patient_time_zone),
                outcome=InfusionOutcome(event.state),
                drug_given=event.drug_given,
                started_at=event.started_at,
                pump_ended_at=event.pump_ended_at,
                discharged_at=None if isinstance(event, InfusionAmended) else event.occurred_at,
                therapist_id=event.therapist_id,
                coordinator_id=event.coordinator_id,
            ),
            version=event.infusion_version,
            patient_id=event.patient_id,
            patient_number=event.patient_number,
            course_id=event.course_id,
            protocol_code=event.protocol_code,
            protocol_version=event.protocol_version,
            first_of_course=event.first_of_course,
            event_id=delivery.event_id,
        )
