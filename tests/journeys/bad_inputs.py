"""The table of bad inputs, row by row: what is sent to the product, and what it must answer."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]  # Any: JSON values

START, PUMP_END = "/sessions/v1/infusions/{arrived}/start", "/sessions/v1/infusions/{running}/pump-end"
VITALS, PATIENTS, COURSES = "/sessions/v1/infusions/{arrived}/vital-signs", "/intake/v1/patients", "/intake/v1/courses"
NOW = "2026-11-23T14:40:00Z"
"""The moment at which everything is sent; the pump of {running} started 40 minutes before."""
OF_OURS = {"patient_id": "{patient}", "responsible_clinician_id": "{prescriber}"}
COURSE = {**OF_OURS, "protocol_code": "default", "protocol_version": 1, "planned_infusions": 6, "cadence": "weekly"}


def mg(value: object, unit: str = "mg") -> Json:
    return {"value": value, "unit": unit}


def start(**changes: object) -> Json:
    return {"pump_started_at": NOW, "weight": mg(80, "kg"), "dose_ordered": mg(40), **changes}


def pump_end(**changes: object) -> Json:
    return {"pump_ended_at": NOW, "dose_given": mg(40), **changes}


def vitals(**changes: object) -> Json:
    return {"measured_at": NOW, "systolic_mmhg": 122, "diastolic_mmhg": 78, "heart_rate_per_min": 70, "spo2_percent": 98, **changes}


def person(**changes: object) -> Json:
    return {"given_name": "Ada", "family_name": "Lane", "birth_date": "1984-06-19", "time_zone": "America/New_York",
            "preferred_channel": "post", **changes}  # fmt: skip


def raw(body: Json, member: str, text: str) -> bytes:
    """A good body in which one member is written as this text."""
    return json.dumps({**body, member: "@@"}).replace('"@@"', text).encode()


@dataclass(frozen=True)
class Case:
    """A request of one row. ``shows`` must be in the answer; ``headers`` are added, and taken away where None."""

    row: int
    path: str
    body: Json | bytes
    status: int
    code: str
    headers: dict[str, str | None] = field(default_factory=dict)
    shows: str = ""
    method: str = "POST"


def _each(row: int, path: str, bodies: Sequence[Json | bytes], status: int, code: str, **more: Any) -> list[Case]:  # Any: of a Case
    return [Case(row, path, body, status, code, **more) for body in bodies]


_SOUND = json.dumps(person()).encode()
_UNSEEN = ("A\u0000", "A\u202eB", "A" + "\u0301" * 50, "\u200b\u200d", "A\u0007", "A\u2028B", "A\U000e0041", "A\u200dB", "=?utf-8?q?A?=")
_NO_NUMBERS: tuple[object, ...] = (True, "35", [35], {})
_NO_TIMES = ("2026-11-23T14:40:00", "2026-11-23", 1795444800, "2026-02-30T14:40:00Z", "2026-11-23T14:39:60Z")

CASES = [
    *_each(1, START, [start(dose_ordered=mg(dose)) for dose in (-5, 0)], 422, "dose-not-positive"),
    Case(2, START, start(dose_ordered=mg(950)), 422, "dose-over-hard-limit", shows="4.5 mg/kg"),
    Case(3, START, start(dose_ordered=mg(96)), 409, "needs-override"),
    *_each(4, START, [start(dose_ordered=dose) for dose in (40, {"value": 40})], 422, "unit-required"),
    *_each(5, START, [start(dose_ordered=mg(40, unit)) for unit in ("mcg", "ml", "mg/kg")], 422, "unit-not-allowed"),
    Case(6, PUMP_END, pump_end(volume_given=mg(4, "mL"), concentration=mg(100, "mg/mL")), 422, "dose-volume-mismatch"),
    *_each(8, START, [start(weight=mg(weight, "kg")) for weight in (8, 800)], 422, "weight-out-of-range"),
    *_each(10, VITALS, [vitals(systolic_mmhg=1200), vitals(spo2_percent=140), vitals(heart_rate_per_min=0)], 422, "vital-out-of-range"),
    Case(11, START.replace("arrived", "tense"), start(), 409, "hold-criteria-met"),
    Case(15, PUMP_END, pump_end(pump_ended_at="2026-11-23T13:59:59Z"), 422, "interval-invalid"),
    *_each(16, VITALS, [vitals(measured_at=f"{day}T14:40:00Z") for day in ("2026-11-24", "1900-01-01", "9999-12-31")], 422,
           "time-out-of-range"),
    *_each(17, VITALS, [vitals(measured_at=moment) for moment in _NO_TIMES], 422, "time-format"),
    Case(19, PATIENTS, person(birth_date="2026-11-24"), 422, "birth-date-in-future"),
    Case(19, PATIENTS, person(birth_date="2008-11-24"), 409, "under-minimum-age", shows="18"),
    *_each(20, VITALS, [raw(vitals(), "spo2_percent", text) for text in ("NaN", "Infinity", "-Infinity", "1e999")], 400, "json-non-finite"),
    Case(20, VITALS, vitals(spo2_percent="nan"), 422, "type"),
    Case(21, START, json.dumps(start()).replace('"dose_ordered"', '"dose_ordered": {"value": 20, "unit": "mg"}, "dose_ordered"').encode(),
         400, "json-duplicate-key"),
    *_each(23, VITALS, [vitals(spo2_percent=value) for value in _NO_NUMBERS], 422, "type"),
    *_each(24, PATIENTS, [person(is_admin=True), person(clinic_id="00000000-0000-4000-8000-00000000000a")], 422, "unknown-field"),
    *_each(25, PATIENTS, [person(given_name=name) for name in _UNSEEN], 422, "text-not-allowed"),
    Case(25, PATIENTS, person(given_name="A" + "\u0301" * 10_000), 422, "too-long"),
    Case(25, PATIENTS, raw(person(), "given_name", '"\\ud800"'), 422, "text-not-allowed"),
    *_each(26, PATIENTS, [_SOUND.replace(b"Ada", b"A\xff"), _SOUND.decode().encode("utf-16"), b"\xef\xbb\xbf" + _SOUND], 400, "not-utf8"),
    Case(26, PATIENTS, gzip.compress(b" " * 1_000_000), 415, "encoding-not-supported", headers={"Content-Encoding": "gzip"}),
    Case(27, PATIENTS, b"[" * 60_000, 400, "json-too-deep"),
    Case(27, PATIENTS, b"[" * 100_000, 413, "body-too-large"),
    Case(27, PATIENTS, json.dumps(person(given_name="A" * 10_000_000)).encode(), 413, "body-too-large"),
    *[Case(28, PATIENTS, _SOUND, 415, "media-type-not-supported", headers={"Content-Type": media_type})
      for media_type in ("text/plain", "application/xml", "multipart/form-data; boundary=x", None)],
    Case(29, PATIENTS, b"", 400, "body-required"),
    *_each(29, PATIENTS, [b"null", b"[]"], 422, "type"),
    Case(29, PATIENTS, _SOUND + _SOUND, 400, "json-malformed"),
    Case(31, "/intake/v1/patients/{stranger}/death", {}, 404, "not-found"),
    Case(31, COURSES, {**COURSE, "patient_id": "{stranger}"}, 422, "reference-not-found"),
    Case(33, PATIENTS, person(), 400, "idempotency-key-required", headers={"Idempotency-Key": None}),
    Case(33, PATIENTS, person(), 422, "idempotency-key-reused", headers={"Idempotency-Key": "{used}"}),
    Case(34, "/intake/v1/patients/{patient}", {"language": "es"}, 412, "version-stale", method="PATCH", headers={"If-Match": 'W/"9"'}),
    Case(34, "/intake/v1/patients/{patient}", {"language": "es"}, 428, "if-match-required", method="PATCH"),
    Case(35, START.replace("arrived", "consentless"), start(), 409, "consent-missing"),
    Case(35, START.replace("arrived", "running"), start(), 409, "state", shows="in-progress"),
    Case(35, "/sessions/v1/infusions/{arrived}/complete", {"discharged_at": NOW}, 409, "state", shows="arrived"),
    Case(35, PUMP_END.replace("running", "closed"), pump_end(), 409, "state", shows="completed"),
]  # fmt: skip

ELSEWHERE: dict[int, tuple[str, ...]] = {
    15: ("tests/sessions/test_bad_doses.py::test_an_infusion_of_nine_hours_is_refused",),
    27: (
        "tests/shared/web/test_bad_bodies.py::test_a_chunked_body_is_counted_while_it_arrives",
        "tests/shared/web/test_bad_bodies.py::test_a_body_that_does_not_arrive_is_refused",
    ),
    31: ("tests/journeys/test_every_operation.py::test_another_clinics_id_in_any_address_is_answered_as_an_unknown_one",),
    33: (
        "tests/shared/web/test_idempotency.py::test_a_request_in_flight_is_a_conflict_until_it_ends",
        "tests/shared/web/test_idempotency.py::test_a_repeated_request_gets_the_first_answer",
    ),
    35: ("tests/sessions/test_steps.py::test_what_is_not_possible_is_refused_with_the_state_and_what_is",),
    36: (
        "tests/followup/pages/test_links.py::test_every_link_that_cannot_be_used_gets_the_same_page",
        "tests/followup/pages/test_links.py::test_wrong_birth_dates_count_down_and_the_fifth_kills_the_link_and_makes_a_task",
    ),
    37: (
        "tests/intake/test_patients.py::test_script_and_formula_in_a_name_are_only_text",
        "tests/sessions/test_bad_doses.py::test_a_script_in_a_reason_is_a_text_like_any_other",
        "tests/journeys/test_bad_inputs.py::test_a_line_end_in_a_header_is_refused",
    ),
    38: (
        "tests/shared/bus_contract/test_parking.py::test_what_nobody_can_read_is_parked_byte_for_byte",
        "tests/shared/bus_contract/test_parking.py::test_an_unknown_type_is_ignored_and_counted",
        "tests/shared/bus_contract/test_parking.py::test_an_unknown_version_of_a_known_type_waits_for_a_release_that_knows_it",
        "tests/shared/bus_contract/test_parking.py::test_another_clinics_event_is_set_aside_and_holds_up_nothing",
    ),
}
"""Rows, or parts of rows, that are shown where more than one request is needed."""

LATER = {12, 13, 14}
"""Scored instruments: there is no endpoint that takes one yet."""

ROWS = {1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 31, 33, 34, 35, 36, 37, 38}
"""All rows of the table."""
