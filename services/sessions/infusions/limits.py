"""The limits of the infusion record as data: read from ``limits.yaml``, handed to whoever decides, never imported as constants."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

_FILE = Path(__file__).with_name("limits.yaml")


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(_Data):
    """A number with where it comes from."""

    value: Decimal
    source: str

    @property
    def minutes(self) -> timedelta:
        return timedelta(minutes=float(self.value))

    @property
    def hours(self) -> timedelta:
        return timedelta(hours=float(self.value))

    @property
    def days(self) -> timedelta:
        return timedelta(days=float(self.value))


class DoseLimits(_Data):
    """Milligrams per kilogram of body weight, and how far volume x concentration may differ from the dose."""

    usual_mg_per_kg: Limit
    override_above_mg_per_kg: Limit
    highest_mg_per_kg: Limit
    rise_percent: Limit
    """By how much a dose may be above the patient's last one without a reason."""
    volume_tolerance_percent: Limit


class WeightLimits(_Data):
    """Kilograms; all ends inside. What is possible, what is usual, and by how much the patient's last weight may have changed."""

    lowest: Limit
    highest: Limit
    usual_lowest: Limit
    usual_highest: Limit
    change_percent: Limit


class TimeLimits(_Data):
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


class VisitLimits(_Data):
    """What is asked of one visit."""

    duplicate_within_hours: Limit
    reading_before_start_minutes: Limit
    observation_minutes: Limit


class InfusionLimits(_Data):
    """All of the file. ``version`` is kept with every decision that was made against one of its limits."""

    code: str
    version: int
    status: str
    dose: DoseLimits
    weight_kg: WeightLimits
    times: TimeLimits
    visit: VisitLimits


def shipped_infusion_limits() -> InfusionLimits:
    """The limits that come with the product. Raises pydantic's ValidationError for a file that is not complete."""
    return InfusionLimits.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))
