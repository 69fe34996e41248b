"""Bodies and answers of corrections."""

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from services.sessions.infusions.answers import InfusionOut
from services.sessions.infusions.quantities import Kilograms, Milligrams, MilligramsPerMillilitre, Millilitres
from services.sessions.infusions.records import InfusionVersion
from services.sessions.infusions.schemas import Override, Reason
from services.sessions.infusions.states import InfusionState
from shared.web.schemas import Answer, Body, Moment


class AmendInfusion(Body):
    """What the record of an ended infusion should have said, and why it is corrected. What is not sent stays."""

    reason: Reason
    outcome: Literal["completed", "stopped-early", "left-against-advice", "transferred"] | None = None
    arrived_at: Moment | None = None
    pump_started_at: Moment | None = None
    pump_ended_at: Moment | None = None
    departed_at: Moment | None = None
    weight: Kilograms | None = None
    dose_given: Milligrams | None = None
    volume_given: Millilitres | None = None
    concentration: MilligramsPerMillilitre | None = None
    weight_override: Override | None = None
    dose_override: Override | None = None
    observation_override: Override | None = None
    time_override: Override | None = None
    duplicate_confirmation: Override | None = None

    def corrections(self) -> dict[str, Any]:  # Any: columns of several types
        """What was sent, by column."""
        sent = {
            "state": None if self.outcome is None else InfusionState(self.outcome),
            "arrived_at": self.arrived_at,
            "pump_started_at": self.pump_started_at,
            "pump_ended_at": self.pump_ended_at,
            "departed_at": self.departed_at,
            "weight_kg": self.weight and self.weight.value,
            "dose_given_mg": self.dose_given and self.dose_given.value,
            "volume_given_ml": self.volume_given and self.volume_given.value,
            "concentration_mg_per_ml": self.concentration and self.concentration.value,
        }
        return {column: value for column, value in sent.items() if value is not None}


class RequestEnteredInError(Body):
    """Why the record should never have existed."""

    reason: Reason


class RestoreVisit(Body):
    """Why the arrival, the end of the booking or "not done" was a mistake."""

    reason: Reason
    duplicate_confirmation: Override | None = None


class WithdrawEnteredInError(Body):
    """Why the record is right after all."""

    reason: Reason


class ConfirmEnteredInError(Body):
    """The second person's own words, if there are any."""

    reason: Reason | None = None


class InfusionVersionOut(Answer):
    """What the record said after one change, by whom and why."""

    infusion_id: UUID
    version: int
    step: str
    actor: str
    reason: str | None
    recorded_at: datetime
    record: InfusionOut

    @classmethod
    def of(cls, version: InfusionVersion) -> Self:
        """From the kept snapshot."""
        return cls(
            infusion_id=version.infusion_id,
            version=version.version,
            step=version.step,
            actor=version.actor,
            reason=version.reason,
            recorded_at=version.recorded_at,
            record=InfusionOut.of(version.snapshot, clinical=True),
        )
