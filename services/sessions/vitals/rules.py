"""Which readings cannot be, which are unlikely, and which hold the start of an infusion: values in, decision out."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from services.sessions.met import Met
from services.sessions.vitals.limits import PULSE_PRESSURE, ReadingRule, VitalLimits

Readings = Mapping[str, int | None]
"""Reading by name, each with its unit in the name; None where it was not taken."""


class Taken(NamedTuple):
    """What was read at one moment before a start, without what was not taken; and whether it was struck as entered in error."""

    readings: Readings
    struck: bool


class Impossible(NamedTuple):
    """A reading that cannot be, or is missing: where in the body, and what is allowed."""

    pointer: str
    code: str
    allowed: str


class Mark(NamedTuple):
    """A reading that is possible and unlikely: saved, and to be looked at once more."""

    rule: str
    reading: str
    source: str


def impossible(readings: Readings, limits: VitalLimits) -> list[Impossible]:
    """vital-out-of-range for every impossible reading; required when nothing was read, or half a pressure; pressure-swapped."""
    taken = {name: value for name, value in readings.items() if value is not None}
    if not taken:
        return [Impossible("", "required", "at least one reading")]
    if ("systolic_mmhg" in taken) != ("diastolic_mmhg" in taken):
        missing = "/diastolic_mmhg" if "systolic_mmhg" in taken else "/systolic_mmhg"
        return [Impossible(missing, "required", "both values of the pressure")]
    found = [_out_of_range(name, limits) for name, value in taken.items() if not _possible(name, value, limits)]
    if not found and taken.get("diastolic_mmhg", 0) >= taken.get("systolic_mmhg", 1):
        found = [Impossible("/diastolic_mmhg", "pressure-swapped", "below the systolic value")]
    return found


def unlikely(readings: Readings, limits: VitalLimits) -> list[Mark]:
    """What is marked of readings that are saved."""
    upper, lower = readings.get("systolic_mmhg"), readings.get("diastolic_mmhg")
    reckoned = {**readings, PULSE_PRESSURE: None if upper is None or lower is None else upper - lower}
    return [Mark(rule.rule, rule.reading, rule.source) for rule in limits.unlikely if _meets(rule, reckoned.get(rule.reading))]


def holding(taken: Sequence[Taken], limits: VitalLimits, within_minutes: Decimal) -> list[Met]:
    """What holds the start until a prescriber decides, by what was taken so many minutes before it at most, in the order of time.

    The last value of each reading counts, and a pressure that nobody took holds too. A struck reading that met a limit holds on until
    all that it had taken was taken again: to strike is to say that it was wrong, and not how the patient is.
    """
    last: dict[str, int | None] = {}
    for one in taken:
        if not one.struck:
            last |= one.readings
    met = _met(last, limits)
    if last.get("systolic_mmhg") is None:
        what = f"none was taken in the {within_minutes} min before the start, and an older one is too old"
        met.insert(0, Met("pressure-not-taken", f"{what}: what was not measured cannot be within its limit"))
    for place, one in enumerate(taken):
        if one.struck and not _taken_again(one, taken[place + 1 :]):
            met += [hold for hold in _met(one.readings, limits) if hold not in met]
    return met


def met_by_any(taken: Sequence[Taken], limits: VitalLimits) -> list[Met]:
    """What holds a start by any of these readings, struck or not, each once."""
    return list(dict.fromkeys(hold for one in taken for hold in _met(one.readings, limits)))


def _met(readings: Readings, limits: VitalLimits) -> list[Met]:
    return [Met(rule.rule, rule.source) for rule in limits.hold if _meets(rule, readings.get(rule.reading))]


def _taken_again(one: Taken, later: Sequence[Taken]) -> bool:
    return any(one.readings.keys() <= newer.readings.keys() for newer in later if not newer.struck)


def _meets(rule: ReadingRule, value: int | None) -> bool:
    if value is None:
        return False
    return (rule.above is not None and value > rule.above) or (rule.below is not None and value < rule.below)


def _possible(name: str, value: int, limits: VitalLimits) -> bool:
    return limits.possible[name].lowest <= value <= limits.possible[name].highest


def _out_of_range(name: str, limits: VitalLimits) -> Impossible:
    possible = limits.possible[name]
    return Impossible(f"/{name}", "vital-out-of-range", f"{possible.lowest} to {possible.highest}")
