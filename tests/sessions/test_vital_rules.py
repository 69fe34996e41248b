"""Which readings cannot be, and which hold a start, decided without a database."""

from decimal import Decimal

import pytest

from services.sessions.vitals.limits import VITAL_SIGNS
from services.sessions.vitals.rules import Taken, holding, impossible, unlikely
from shared.documents.checking import checked
from shared.documents.kinds import FIRST_OF_A_CLINIC
from shared.errors import Invalid

LIMITS = VITAL_SIGNS.default
HOUR = Decimal(60)
CALM: dict[str, int | None] = {
    "systolic_mmhg": 120,
    "diastolic_mmhg": 80,
    "heart_rate_per_min": 70,
    "spo2_percent": 98,
    "respiratory_rate_per_min": 14,
    "moaa_s_score": 5,
}


@pytest.mark.parametrize(
    ("reading", "value"),
    [
        ("systolic_mmhg", 1200),
        ("diastolic_mmhg", 0),
        ("heart_rate_per_min", 0),
        ("spo2_percent", 140),
        ("spo2_percent", 101),
        ("respiratory_rate_per_min", -1),
        ("moaa_s_score", 6),
    ],
)
def test_an_impossible_reading_is_named_with_its_range(reading: str, value: int) -> None:
    found = impossible({**CALM, reading: value}, LIMITS)
    possible = LIMITS.possible[reading]
    assert found == [(f"/{reading}", "vital-out-of-range", f"{possible.lowest} to {possible.highest}")]


@pytest.mark.parametrize("limit", ["lowest", "highest"])
def test_the_ends_of_a_range_are_possible(limit: str) -> None:
    ends: dict[str, int | None] = {name: getattr(LIMITS.possible[name], limit) for name in CALM}
    assert impossible(ends, LIMITS) == []


def test_every_impossible_reading_is_named_at_once() -> None:
    assert len(impossible({**CALM, "spo2_percent": 140, "heart_rate_per_min": 0}, LIMITS)) == 2


@pytest.mark.parametrize("lower", [80, 120])
def test_two_pressures_that_were_swapped_are_refused_as_that(lower: int) -> None:
    assert impossible({"systolic_mmhg": 80, "diastolic_mmhg": lower}, LIMITS) == [
        ("/diastolic_mmhg", "pressure-swapped", "below the systolic value")
    ]


def test_half_a_pressure_and_no_reading_at_all_are_refused() -> None:
    assert impossible({"systolic_mmhg": 120}, LIMITS)[0][:2] == ("/diastolic_mmhg", "required")
    assert impossible({"diastolic_mmhg": 80}, LIMITS)[0][:2] == ("/systolic_mmhg", "required")
    assert impossible(dict.fromkeys(CALM), LIMITS)[0][:2] == ("", "required")


@pytest.mark.parametrize(
    ("reading", "value"),
    [("systolic_mmhg", 35), ("diastolic_mmhg", 15), ("heart_rate_per_min", 15), ("spo2_percent", 25), ("respiratory_rate_per_min", 90)],
)
def test_what_a_failing_patient_shows_is_possible_and_marked(reading: str, value: int) -> None:
    readings = {**CALM, "diastolic_mmhg": 15, reading: value}
    assert impossible(readings, LIMITS) == []
    assert reading in [mark.reading for mark in unlikely(readings, LIMITS)]


@pytest.mark.parametrize(
    ("reading", "inside", "outside", "rule"),
    [
        ("systolic_mmhg", 220, 221, "systolic-very-high"),
        ("diastolic_mmhg", 30, 29, "diastolic-very-low"),
        ("diastolic_mmhg", 105, 106, "pulse-pressure-narrow"),
        ("heart_rate_per_min", 35, 34, "heart-rate-very-low"),
        ("heart_rate_per_min", 180, 181, "heart-rate-very-high"),
        ("spo2_percent", 80, 79, "spo2-very-low"),
        ("respiratory_rate_per_min", 6, 5, "respiratory-rate-very-low"),
        ("respiratory_rate_per_min", 40, 41, "respiratory-rate-very-high"),
        ("moaa_s_score", 2, 1, "hardly-rousable"),
    ],
)
def test_an_unlikely_reading_is_marked_with_its_rule_and_source(reading: str, inside: int, outside: int, rule: str) -> None:
    assert unlikely({**CALM, reading: inside}, LIMITS) == []
    (mark,) = unlikely({**CALM, reading: outside}, LIMITS)
    assert (mark.rule, bool(mark.source)) == (rule, True)


def test_the_pressures_of_a_crisis_are_marked() -> None:
    high = unlikely({"systolic_mmhg": 260, "diastolic_mmhg": 131}, LIMITS)
    low = unlikely({"systolic_mmhg": 69, "diastolic_mmhg": 40}, LIMITS)
    assert [mark.rule for mark in high + low] == ["systolic-very-high", "diastolic-very-high", "systolic-very-low"]


def test_calm_readings_hold_nothing_and_are_not_marked() -> None:
    assert unlikely(CALM, LIMITS) == []
    assert holding([Taken(CALM, struck=False)], LIMITS, HOUR) == []


@pytest.mark.parametrize(
    ("reading", "inside", "outside", "rule"),
    [
        ("systolic_mmhg", 140, 141, "systolic-high"),
        ("systolic_mmhg", 90, 89, "systolic-low"),
        ("diastolic_mmhg", 90, 91, "diastolic-high"),
        ("heart_rate_per_min", 50, 49, "heart-rate-low"),
        ("heart_rate_per_min", 110, 111, "heart-rate-high"),
        ("spo2_percent", 95, 94, "spo2-low"),
        ("respiratory_rate_per_min", 10, 9, "respiratory-rate-low"),
        ("respiratory_rate_per_min", 24, 25, "respiratory-rate-high"),
        ("moaa_s_score", 5, 4, "not-alert"),
    ],
)
def test_a_limit_value_does_not_hold_and_the_next_one_does(reading: str, inside: int, outside: int, rule: str) -> None:
    assert holding([Taken({**CALM, reading: inside}, struck=False)], LIMITS, HOUR) == []
    assert [hold.rule for hold in holding([Taken({**CALM, reading: outside}, struck=False)], LIMITS, HOUR)] == [rule]


def test_a_pressure_that_nobody_took_holds_the_start() -> None:
    (hold,) = holding([], LIMITS, HOUR)
    assert hold.rule == "pressure-not-taken"
    assert "in the 60 min before the start, and an older one is too old" in hold.source


def test_what_a_struck_reading_had_taken_is_enough_to_be_taken_again() -> None:
    before = Taken(CALM, struck=False)
    wrong = Taken({"systolic_mmhg": 180, "diastolic_mmhg": 80}, struck=True)
    retyped = Taken({"systolic_mmhg": 118, "diastolic_mmhg": 80}, struck=False)
    assert [hold.rule for hold in holding([before, wrong], LIMITS, HOUR)] == ["systolic-high"]
    assert [hold.rule for hold in holding([retyped, wrong], LIMITS, HOUR)] == ["systolic-high"]
    assert [hold.rule for hold in holding([before, wrong, Taken({"spo2_percent": 98}, struck=False)], LIMITS, HOUR)] == ["systolic-high"]
    assert [hold.rule for hold in holding([before, wrong, retyped._replace(struck=True)], LIMITS, HOUR)] == ["systolic-high"]
    assert holding([before, wrong, retyped], LIMITS, HOUR) == []


WITHOUT_HEAD = VITAL_SIGNS.default_text.replace("version: 2\n", "")


@pytest.mark.parametrize(
    ("written", "instead", "code", "line"),
    [
        ("reading: systolic_mmhg, above: 140", "reading: systolic_mmhg, above: 140, below: 90", "one-side", "systolic-high"),
        ("reading: systolic_mmhg, above: 140", "reading: systolic_mmhg", "one-side", "systolic-high"),
        ("reading: systolic_mmhg, above: 140", "reading: mood, above: 140", "not-one-of", "systolic-high"),
        ("reading: systolic_mmhg, above: 140", "reading: pulse_pressure_mmhg, above: 140", "not-a-reading", "systolic-high"),
        ("reading: systolic_mmhg, above: 140", "reading: systolic_mmhg, above: 1400", "out-of-reach", "systolic-high"),
        ("reading: systolic_mmhg, below: 90", "reading: systolic_mmhg, below: 9", "out-of-reach", "systolic-low"),
        ("rule: diastolic-high", "rule: systolic-high", "rule-twice", "reading: diastolic_mmhg, above: 90"),
        ("lowest: 20, highest: 350", "lowest: 350, highest: 20", "out-of-order", "systolic_mmhg: {"),
        ("  spo2_percent: {", "  mood: {", "reading-missing", "possible:"),
        ('above: 140, source: "esketamine label: consider delaying above 140/90 mmHg"', "above: 140", "required", "systolic-high"),
    ],
)
def test_limits_that_could_not_hold_as_they_are_meant_are_refused_by_line(written: str, instead: str, code: str, line: str) -> None:
    text = WITHOUT_HEAD.replace(written, instead)
    number = next(number for number, read in enumerate(text.splitlines(), 1) if line in read and not read.startswith("#"))
    with pytest.raises(Invalid) as refused:
        checked(VITAL_SIGNS, text, FIRST_OF_A_CLINIC)
    found = {(error.code, error.detail.partition(":")[0]) for error in refused.value.errors}
    assert (code, f"Line {number}") in found


def test_a_hold_list_without_a_rule_is_refused() -> None:
    text = WITHOUT_HEAD.partition("\nhold:")[0] + "\nhold: []\n"
    with pytest.raises(Invalid) as refused:
        checked(VITAL_SIGNS, text, FIRST_OF_A_CLINIC)
    assert [error.code for error in refused.value.errors] == ["too-short"]
