"""Bodies of the steps of an infusion. Every quantity names its unit, every time its offset."""

from typing import Annotated, Literal
from uuid import UUID

from services.sessions.infusions.quantities import Kilograms, Milligrams, MilligramsPerMillilitre, Millilitres
from services.sessions.infusions.rules import PumpEnd
from shared.web.schemas import Body, Moment, Text

Reason = Annotated[str, Text(500)]


class Override(Body):
    """A decision against a rule: who may make it is said by the refusal that asks for it."""

    reason: Reason


class ScheduleInfusion(Body):
    """A visit of a patient within a course."""

    patient_id: UUID
    course_id: UUID
    scheduled_at: Moment
    duplicate_confirmation: Override | None = None


class RescheduleInfusion(Body):
    """A new time for a booked visit."""

    scheduled_at: Moment
    reason: Reason | None = None
    duplicate_confirmation: Override | None = None


class CheckIn(Body):
    """When the patient arrived; now, if nothing is said."""

    arrived_at: Moment | None = None
    time_override: Override | None = None


class CancelInfusion(Body):
    """On whose side a booking was given up."""

    cancelled_by: Literal["patient", "clinic"]
    reason: Reason | None = None


class NotDone(Body):
    """Why no drug was given."""

    reason: Reason


class StartInfusion(Body):
    """What is given and when. Each override answers one refusal: ``hold-criteria-met``, ``needs-override``, ``possible-duplicate``.

    ``needs-override`` names the override that it asks for.
    """

    pump_started_at: Moment
    weight: Kilograms
    dose_ordered: Milligrams
    hold_override: Override | None = None
    weight_override: Override | None = None
    dose_override: Override | None = None
    time_override: Override | None = None
    duplicate_confirmation: Override | None = None


class EndPump(Body):
    """When the pump stopped and what it had given. Volume and concentration, when sent, must agree with the dose."""

    pump_ended_at: Moment
    dose_given: Milligrams
    volume_given: Millilitres | None = None
    concentration: MilligramsPerMillilitre | None = None
    dose_override: Override | None = None

    def as_pump_end(self) -> PumpEnd:
        """The values alone."""
        volume = self.volume_given.value if self.volume_given else None
        concentration = self.concentration.value if self.concentration else None
        return PumpEnd(self.pump_ended_at, self.dose_given.value, volume, concentration)


StopReason = Literal["medical", "psychological", "patient-request", "equipment", "wrong-drug-or-dose", "wrong-patient", "logistic"]


class StopEarly(EndPump):
    """Why the pump was stopped before its time, when, and what it had given by then, perhaps 0 mg."""

    reason_code: StopReason
    reason: Reason


class CompleteInfusion(Body):
    """When the patient was discharged."""

    discharged_at: Moment
    observation_override: Override | None = None
    time_override: Override | None = None


class LeaveAgainstAdvice(Body):
    """When and why the patient left. ``pump_end`` is needed while the pump still runs, and only then."""

    left_at: Moment
    reason: Reason
    pump_end: EndPump | None = None
    time_override: Override | None = None


class TransferPatient(Body):
    """When and why emergency care took over. ``pump_end`` is needed while the pump still runs, and only then."""

    transferred_at: Moment
    reason: Reason
    pump_end: EndPump | None = None
    time_override: Override | None = None


class SettleReview(Body):
    """What came of looking at the record."""

    reason: Reason
