"""What is wrong with doses, weights and times, and which infusion is the first of its course: values in, finding out.

A finding is a refusal that has not been spoken: its code, where in the body, and what is allowed. None means nothing is wrong.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from services.sessions.infusions.limits import DoseLimits, InfusionLimits, TimeLimits, WeightLimits
from services.sessions.met import Met


class Finding(NamedTuple):
    """One thing that cannot be: a stable code, the sentence for it, the JSON pointer, and the allowed range."""

    code: str
    detail: str
    pointer: str
    allowed: str


@dataclass(frozen=True, slots=True)
class Order:
    """What the pump was started with."""

    pump_started_at: datetime
    weight_kg: Decimal
    dose_ordered_mg: Decimal


@dataclass(frozen=True, slots=True)
class PumpEnd:
    """What the pump gave until it stopped."""

    pump_ended_at: datetime
    dose_given_mg: Decimal
    volume_given_ml: Decimal | None
    concentration_mg_per_ml: Decimal | None


@dataclass(frozen=True, slots=True)
class LastGiven:
    """The weight that counts and the dose ordered at the patient's infusion before; None where nothing is known."""

    weight_kg: Decimal | None = None
    dose_mg: Decimal | None = None


class Doubt(NamedTuple):
    """A weight that is possible and unlikely, by which rule, and the weight that counts until it is settled."""

    met: Met
    counts_kg: Decimal


class FarApart(NamedTuple):
    """Two times that are possible and unlikely so far apart, by which rule, what is usual, and the times."""

    met: Met
    usual: str
    times: tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Observation:
    """How a patient was watched: from the pump's end until discharge, after so much."""

    pump_ended_at: datetime
    discharged_at: datetime
    dose_given_mg: Decimal


@dataclass(frozen=True, slots=True)
class CourseMember:
    """One started infusion of a course, as far as its place in the course is concerned. A dose not recorded yet is None."""

    infusion_id: UUID
    pump_started_at: datetime
    dose_given_mg: Decimal | None


def impossible_weight(weight_kg: Decimal, limits: WeightLimits, pointer: str) -> Finding | None:
    """weight-out-of-range: what no adult weighs."""
    if limits.lowest.value <= weight_kg <= limits.highest.value:
        return None
    return Finding("weight-out-of-range", "The weight is not possible.", pointer, f"{limits.lowest.value} to {limits.highest.value} kg")


def unlikely_weight(weight_kg: Decimal, last: LastGiven, limits: WeightLimits) -> Doubt | None:
    """weight-unlike-last: too far from the patient's last one; weight-unusual: none is known, and this one is out of the usual."""
    if last.weight_kg is None:
        if limits.usual_lowest.value <= weight_kg <= limits.usual_highest.value:
            return None
        source = (limits.usual_lowest if weight_kg < limits.usual_lowest.value else limits.usual_highest).source
        return Doubt(Met("weight-unusual", source), min(weight_kg, limits.usual_highest.value))
    if abs(weight_kg - last.weight_kg) * 100 <= limits.change_percent.value * last.weight_kg:
        return None
    return Doubt(Met("weight-unlike-last", limits.change_percent.source), min(weight_kg, last.weight_kg))


def unlike_last_dose(dose_mg: Decimal, last_mg: Decimal | None, limits: DoseLimits) -> bool:
    """Whether a dose is so far above the last one that a slip of the pen is more likely."""
    return last_mg is not None and (dose_mg - last_mg) * 100 > limits.rise_percent.value * last_mg


def not_positive(dose_mg: Decimal, pointer: str, *, zero_allowed: bool = False) -> Finding | None:
    """dose-not-positive: only a stopped infusion may have given nothing."""
    if dose_mg > 0 or (dose_mg == 0 and zero_allowed):
        return None
    allowed = "at least 0 mg" if zero_allowed else "more than 0 mg"
    return Finding("dose-not-positive", "The dose must be more than nothing.", pointer, allowed)


def over_hard_limit(dose_mg: Decimal, weight_kg: Decimal, limits: DoseLimits, pointer: str) -> Finding | None:
    """dose-over-hard-limit: what nobody gives on purpose."""
    highest = limits.highest_mg_per_kg
    if dose_mg <= highest.value * weight_kg:
        return None
    allowed = f"at most {highest.value} mg/kg ({highest.source})"
    return Finding("dose-over-hard-limit", f"The dose is above {highest.value} mg/kg.", pointer, allowed)


def dose_needs_reason(dose_mg: Decimal, weight_kg: Decimal, limits: DoseLimits, approved_mg_per_kg: Decimal) -> bool:
    """Whether the dose is unusual, and above what a prescriber has already given a reason for on this record."""
    return dose_mg > max(limits.override_above_mg_per_kg.value, approved_mg_per_kg) * weight_kg


def volume_mismatch(
    dose_mg: Decimal, volume_ml: Decimal | None, concentration_mg_per_ml: Decimal | None, limits: DoseLimits, pointer: str
) -> Finding | None:
    """dose-volume-mismatch: volume x concentration is not the dose; required: one of the two is missing."""
    if volume_ml is None and concentration_mg_per_ml is None:
        return None
    if volume_ml is None or concentration_mg_per_ml is None:
        return Finding("required", "Volume and concentration come together.", pointer, "volume and concentration, or neither")
    percent = limits.volume_tolerance_percent.value
    if abs(volume_ml * concentration_mg_per_ml - dose_mg) * 100 <= percent * dose_mg:
        return None
    allowed = f"volume x concentration within {percent} % of the dose"
    return Finding("dose-volume-mismatch", "Volume x concentration is not the dose.", pointer, allowed)


def impossible_fact_time(at: datetime, now: datetime, limits: TimeLimits, pointer: str) -> Finding | None:
    """time-out-of-range: a fact dated ahead of our clock or too long ago."""
    if now - limits.back_days.days <= at <= now + limits.ahead_minutes.minutes:
        return None
    allowed = f"at most {limits.ahead_minutes.value} min ahead and {limits.back_days.value} days back"
    return Finding("time-out-of-range", "The time is not possible for something that happened.", pointer, allowed)


def impossible_booking_time(at: datetime, now: datetime, limits: TimeLimits, pointer: str) -> Finding | None:
    """time-out-of-range: a visit too far ahead, or too far back for a late entry."""
    if now - limits.back_days.days <= at <= now + limits.booked_ahead_days.days:
        return None
    allowed = f"at most {limits.booked_ahead_days.value} days ahead and {limits.back_days.value} days back"
    return Finding("time-out-of-range", "The time is not possible for a visit.", pointer, allowed)


def impossible_interval(started_at: datetime, ended_at: datetime, dose_mg: Decimal, limits: TimeLimits, pointer: str) -> Finding | None:
    """interval-invalid: an end before the start, drug given in no time, or an infusion of that many hours."""
    forwards = started_at < ended_at or (started_at == ended_at and dose_mg == 0)
    if forwards and ended_at - started_at < limits.infusion_under_hours.hours:
        return None
    allowed = f"after the start and less than {limits.infusion_under_hours.value} h later"
    return Finding("interval-invalid", "The pump cannot have ended then.", pointer, allowed)


def out_of_order(earlier: datetime | None, later: datetime, pointer: str) -> Finding | None:
    """interval-invalid: a step dated before the one that it follows."""
    if earlier is None or earlier <= later:
        return None
    return Finding("interval-invalid", "The step is dated before the one that it follows.", pointer, "not before the preceding step")


def outside_visit(
    arrived_at: datetime | None, departed_at: datetime | None, measured_at: datetime, limits: TimeLimits, pointer: str
) -> Finding | None:
    """interval-invalid: a reading of somebody who had not come yet, or had gone."""
    before = limits.reading_before_arrival_minutes
    if departed_at is not None and measured_at > departed_at:
        return Finding("interval-invalid", "The reading is dated after the patient had gone.", pointer, "not after the departure")
    if arrived_at is not None and measured_at < arrived_at - before.minutes:
        allowed = f"at most {before.value} min before the arrival"
        return Finding("interval-invalid", "The reading is dated before the patient had come.", pointer, allowed)
    return None


def far_from_booking(scheduled_at: datetime, arrived_at: datetime, limits: TimeLimits) -> FarApart | None:
    """arrival-far-from-booking: the patient came on another day than the visit was booked for."""
    early, late, times = limits.arrival_before_hours, limits.arrival_after_hours, (scheduled_at, arrived_at)
    if arrived_at < scheduled_at - early.hours:
        return FarApart(Met("arrival-far-from-booking", early.source), f"at most {early.value} h before the booked time", times)
    if arrived_at > scheduled_at + late.hours:
        return FarApart(Met("arrival-far-from-booking", late.source), f"at most {late.value} h after the booked time", times)
    return None


def long_after_arrival(arrived_at: datetime | None, started_at: datetime, limits: TimeLimits) -> FarApart | None:
    """start-long-after-arrival: the pump was started so long after the patient came."""
    limit = limits.start_after_arrival_hours
    if arrived_at is None or started_at <= arrived_at + limit.hours:
        return None
    return FarApart(Met("start-long-after-arrival", limit.source), f"at most {limit.value} h after the arrival", (arrived_at, started_at))


def long_after_pump(pump_ended_at: datetime, departed_at: datetime, limits: TimeLimits) -> FarApart | None:
    """departure-long-after-pump: the patient was there for so long after the pump had stopped."""
    limit = limits.departure_after_pump_hours
    if departed_at <= pump_ended_at + limit.hours:
        return None
    times = (pump_ended_at, departed_at)
    return FarApart(Met("departure-long-after-pump", limit.source), f"at most {limit.value} h after the pump ended", times)


def wrong_with_pump(
    started_at: datetime, weight_kg: Decimal, pump: PumpEnd, now: datetime, limits: InfusionLimits, below: str = ""
) -> list[Finding | None]:
    """All that is checked of a pump's end, with pointers below ``below``; whether 0 mg may be is for the step to say."""
    return [
        over_hard_limit(pump.dose_given_mg, weight_kg, limits.dose, f"{below}/dose_given"),
        volume_mismatch(pump.dose_given_mg, pump.volume_given_ml, pump.concentration_mg_per_ml, limits.dose, f"{below}/volume_given"),
        impossible_fact_time(pump.pump_ended_at, now, limits.times, f"{below}/pump_ended_at"),
        impossible_interval(started_at, pump.pump_ended_at, pump.dose_given_mg, limits.times, f"{below}/pump_ended_at"),
    ]


def observed_long_enough(observation: Observation, limits: InfusionLimits) -> bool:
    """Whether the patient was watched for the whole time after the pump's end. Nothing given, nothing to watch for."""
    watched = observation.discharged_at - observation.pump_ended_at
    return observation.dose_given_mg == 0 or watched >= limits.visit.observation_minutes.minutes


def first_of_course(members: Iterable[CourseMember]) -> UUID | None:
    """The course's first infusion with drug given, by start. A pump that runs counts as giving until its record says otherwise."""
    giving = [member for member in members if member.dose_given_mg is None or member.dose_given_mg > 0]
    first = min(giving, key=lambda member: (member.pump_started_at, member.infusion_id), default=None)
    return None if first is None else first.infusion_id
