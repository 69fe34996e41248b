"""What is wrong with doses, weights and times, decided without a database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sessions.infusions import rules
from services.sessions.infusions.limits import INFUSION_RECORD
from services.sessions.infusions.rules import CourseMember, Observation, PumpEnd
from services.sessions.infusions.standing import barred_at
from services.sessions.subjects.models import Course, Patient, Subject
from services.sessions.vitals.limits import VITAL_SIGNS

LIMITS = INFUSION_RECORD.default
VITALS = VITAL_SIGNS.default
NOON = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)


def code(finding: rules.Finding | None) -> str | None:
    return finding.code if finding else None


def test_every_number_names_its_source() -> None:
    groups = (LIMITS.dose, LIMITS.weight_kg, LIMITS.times, LIMITS.visit)
    sources = [limit.source for group in groups for _, limit in group]
    sources += [possible.source for possible in VITALS.possible.values()] + [rule.source for rule in VITALS.hold]
    sources += [rule.source for rule in VITALS.unlikely]
    assert len(sources) == 49
    assert all(len(source) > 20 for source in sources)


def test_the_usual_dose_is_half_a_milligram_per_kilogram() -> None:
    assert LIMITS.dose.usual_mg_per_kg.value == Decimal("0.5")
    assert "Feder 2021" in LIMITS.dose.usual_mg_per_kg.source


@pytest.mark.parametrize(("dose", "expected"), [("-5", "dose-not-positive"), ("0", "dose-not-positive"), ("0.001", None), ("40", None)])
def test_a_dose_is_more_than_nothing(dose: str, expected: str | None) -> None:
    assert code(rules.not_positive(Decimal(dose), "/dose")) == expected


@pytest.mark.parametrize(("dose", "expected"), [("-0.001", "dose-not-positive"), ("0", None)])
def test_a_stopped_pump_may_have_given_nothing_but_not_less(dose: str, expected: str | None) -> None:
    assert code(rules.not_positive(Decimal(dose), "/dose", zero_allowed=True)) == expected


@pytest.mark.parametrize(("dose", "expected"), [("950", "dose-over-hard-limit"), ("360.001", "dose-over-hard-limit"), ("360", None)])
def test_a_dose_over_the_hard_limit_is_impossible_and_the_limit_itself_is_not(dose: str, expected: str | None) -> None:
    finding = rules.over_hard_limit(Decimal(dose), Decimal(80), LIMITS.dose, "/dose_ordered")
    assert code(finding) == expected
    if finding:
        assert "4.5 mg/kg" in finding.detail


@pytest.mark.parametrize(
    ("mg_per_kg", "approved", "needed"), [("0.5", "0", False), ("0.75", "0", False), ("1.2", "0", True), ("1.2", "1.2", False)]
)
def test_an_unusual_dose_needs_a_reason_once(mg_per_kg: str, approved: str, needed: bool) -> None:
    weight = Decimal(80)
    assert rules.dose_needs_reason(Decimal(mg_per_kg) * weight, weight, LIMITS.dose, Decimal(approved)) is needed


@pytest.mark.parametrize(
    ("volume", "concentration", "expected"),
    [
        (None, None, None),
        ("4", "10", None),
        ("4.2", "10", None),
        ("4.21", "10", "dose-volume-mismatch"),
        ("4", "100", "dose-volume-mismatch"),
        ("4", None, "required"),
        (None, "10", "required"),
    ],
)
def test_volume_times_concentration_is_the_dose(volume: str | None, concentration: str | None, expected: str | None) -> None:
    volume_ml, mg_per_ml = (None if part is None else Decimal(part) for part in (volume, concentration))
    assert code(rules.volume_mismatch(Decimal(40), volume_ml, mg_per_ml, LIMITS.dose, "/volume_given")) == expected


@pytest.mark.parametrize(
    ("weight", "expected"), [("8", "weight-out-of-range"), ("30", None), ("350", None), ("800", "weight-out-of-range")]
)
def test_a_weight_is_an_adults(weight: str, expected: str | None) -> None:
    assert code(rules.impossible_weight(Decimal(weight), LIMITS.weight_kg, "/weight")) == expected


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (timedelta(minutes=5), None),
        (timedelta(minutes=5, seconds=1), "time-out-of-range"),
        (timedelta(days=1), "time-out-of-range"),
        (timedelta(days=-366), None),
        (timedelta(days=-367), "time-out-of-range"),
        (timedelta(days=-40_000), "time-out-of-range"),
        (timedelta(days=2_900_000), "time-out-of-range"),
    ],
)
def test_a_fact_is_neither_ahead_of_our_clock_nor_older_than_a_year(offset: timedelta, expected: str | None) -> None:
    assert code(rules.impossible_fact_time(NOON + offset, NOON, LIMITS.times, "/at")) == expected


@pytest.mark.parametrize(
    ("days", "expected"), [(0, None), (731, None), (732, "time-out-of-range"), (-366, None), (-367, "time-out-of-range")]
)
def test_a_visit_is_booked_within_reason(days: int, expected: str | None) -> None:
    assert code(rules.impossible_booking_time(NOON + timedelta(days=days), NOON, LIMITS.times, "/at")) == expected


@pytest.mark.parametrize(
    ("minutes", "dose", "expected"),
    [
        (40, "40", None),
        (-1, "40", "interval-invalid"),
        (-1, "0", "interval-invalid"),
        (0, "40", "interval-invalid"),
        (0, "0", None),
        (9 * 60, "40", "interval-invalid"),
        (9 * 60 - 1, "40", None),
    ],
)
def test_a_pump_runs_forwards_and_for_less_than_nine_hours(minutes: int, dose: str, expected: str | None) -> None:
    ended_at = NOON + timedelta(minutes=minutes)
    assert code(rules.impossible_interval(NOON, ended_at, Decimal(dose), LIMITS.times, "/pump_ended_at")) == expected


def test_a_step_is_not_dated_before_the_one_that_it_follows() -> None:
    assert code(rules.out_of_order(NOON, NOON - timedelta(seconds=1), "/at")) == "interval-invalid"
    assert rules.out_of_order(NOON, NOON, "/at") is None
    assert rules.out_of_order(None, NOON, "/at") is None


@pytest.mark.parametrize(
    ("patient", "course", "starting", "expected"),
    [
        ("active", "active", True, None),
        ("deceased", "active", False, "patient-deceased"),
        ("withdrawn", "active", True, "patient-withdrawn"),
        ("active", "on-hold", True, "course-on-hold"),
        ("active", "on-hold", False, None),
        ("active", "stopped", False, "course-stopped"),
        ("active", "completed", True, "course-completed"),
        ("active", "of-a-newer-intake", True, "course-of-a-newer-intake"),
    ],
)
def test_patient_and_course_may_forbid_it(patient: str, course: str, starting: bool, expected: str | None) -> None:
    who = Patient(clinic_id=uuid4(), patient_id=uuid4(), patient_number=None, time_zone=None, version=1, status=patient, status_version=1)
    runs = Course(
        clinic_id=who.clinic_id,
        course_id=uuid4(),
        patient_id=who.patient_id,
        status=course,
        protocol_code="default",
        protocol_version=1,
        therapist_id=None,
        coordinator_id=None,
        version=1,
    )
    subject = Subject(who, runs)
    for at in (NOON, NOON + timedelta(days=1), NOON - timedelta(days=1)):
        assert barred_at(subject, at, NOON, starting=starting) == expected


@pytest.mark.parametrize(("minutes", "dose", "enough"), [(60, "40", True), (59, "40", False), (1, "0", True)])
def test_patients_are_watched_for_an_hour_after_the_pump(minutes: int, dose: str, enough: bool) -> None:
    assert rules.observed_long_enough(Observation(NOON, NOON + timedelta(minutes=minutes), Decimal(dose)), LIMITS) is enough


def test_pointers_lead_into_the_part_that_was_sent() -> None:
    pump = PumpEnd(NOON - timedelta(hours=1), Decimal(950), Decimal(1), Decimal(1))
    found = [finding.pointer for finding in rules.wrong_with_pump(NOON, Decimal(80), pump, NOON, LIMITS, "/pump_end") if finding]
    assert found == ["/pump_end/dose_given", "/pump_end/volume_given", "/pump_end/pump_ended_at"]


def member(day: int, dose: str | None) -> CourseMember:
    return CourseMember(uuid4(), NOON + timedelta(days=day), None if dose is None else Decimal(dose))


def test_the_first_of_a_course_is_the_earliest_that_gave_something_in_whatever_order_they_are_known() -> None:
    nothing, first, second = member(0, "0"), member(2, "40"), member(4, "40")
    for order in permutations((nothing, first, second)):
        assert rules.first_of_course(order) == first.infusion_id


def test_a_running_pump_counts_as_giving() -> None:
    running, later = member(0, None), member(2, "40")
    assert rules.first_of_course([later, running]) == running.infusion_id


def test_a_course_without_drug_has_no_first() -> None:
    assert rules.first_of_course([member(0, "0")]) is None
    assert rules.first_of_course([]) is None


@given(st.lists(st.tuples(st.uuids(), st.integers(0, 5), st.sampled_from([None, 0, 40])), unique_by=lambda drawn: drawn[0]), st.randoms())
def test_there_is_one_first_whatever_the_order(drawn: list[tuple[UUID, int, int | None]], random: object) -> None:
    members = [CourseMember(id_, NOON + timedelta(days=day), None if dose is None else Decimal(dose)) for id_, day, dose in drawn]
    expected = rules.first_of_course(members)
    random.shuffle(members)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert rules.first_of_course(members) == expected
    assert (expected is None) == all(one.dose_given_mg == 0 for one in members)
