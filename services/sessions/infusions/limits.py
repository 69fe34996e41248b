"""The limits of the infusion record: a clinical document. Handed to whoever decides, never imported as constants."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.documents.content import Document, Part, Source, misplaced
from shared.documents.kinds import Kind


class Limit(Part):
    """A number with where it comes from."""

    value: Annotated[Decimal, Field(ge=0, le=10_000)]
    source: Source

    @property
    def minutes(self) -> timedelta:
        return timedelta(minutes=float(self.value))

    @property
    def hours(self) -> timedelta:
        return timedelta(hours=float(self.value))

    @property
    def days(self) -> timedelta:
        return timedelta(days=float(self.value))


class DoseLimits(Part):
    """Milligrams per kilogram of body weight, and how far volume x concentration may differ from the dose."""

    usual_mg_per_kg: Limit
    override_above_mg_per_kg: Limit
    highest_mg_per_kg: Limit
    rise_percent: Limit
    """By how much a dose may be above the patient's last one without a reason."""
    volume_tolerance_percent: Limit


class WeightLimits(Part):
    """Kilograms; all ends inside. What is possible, what is usual, and by how much the patient's last weight may have changed."""

    lowest: Limit
    highest: Limit
    usual_lowest: Limit
    usual_highest: Limit
    change_percent: Limit


class TimeLimits(Part):
    """How far times may lie from now and from each other, and how long an infusion may take."""

    ahead_minutes: Limit
    back_days: Limit
    booked_ahead_days: Limit
    no_show_after_minutes: Limit
    arrival_before_hours: Limit
    arrival_after_hours: Limit
    start_after_arrival_hours: Limit
    departure_after_pump_hours: Limit
    reading_before_arrival_minutes: Limit
    infusion_under_hours: Limit


class VisitLimits(Part):
    """What is asked of one visit."""

    duplicate_within_hours: Limit
    reading_before_start_minutes: Limit
    observation_minutes: Limit


class InfusionLimits(Document):
    """All of the document. ``version`` is kept with every decision that was made against one of its limits."""

    dose: DoseLimits
    weight_kg: WeightLimits
    times: TimeLimits
    visit: VisitLimits

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        """What is usual lies inside what is possible: otherwise a rule would never be met, or always."""
        dose, weight = self.dose, self.weight_kg
        for part, name, low, high in (
            ("dose", "override_above_mg_per_kg", dose.override_above_mg_per_kg, dose.highest_mg_per_kg),
            ("dose", "usual_mg_per_kg", dose.usual_mg_per_kg, dose.override_above_mg_per_kg),
            ("weight_kg", "lowest", weight.lowest, weight.usual_lowest),
            ("weight_kg", "usual_lowest", weight.usual_lowest, weight.usual_highest),
            ("weight_kg", "usual_highest", weight.usual_highest, weight.highest),
        ):
            if low.value > high.value or low.value == 0:
                raise misplaced((part, name), PydanticCustomError("out-of-order", "Is 0, or above the limit that must not be below it."))
        return self


INFUSION_RECORD = Kind("infusion-record", InfusionLimits, Path(__file__).with_name("limits.yaml"))
