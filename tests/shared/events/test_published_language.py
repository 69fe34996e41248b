"""The published language keeps its promises: what was once written stays readable, and nothing private is ever written."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest
from pydantic import ValidationError

from shared.events import Event, MalformedEvent, Registry, UnknownEvent, registry
from shared.events.followup import InfusionEventRequested
from shared.events.intake import PatientChanged
from shared.events.registry import MAX_EVENT_BYTES, EventType

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = sorted(GOLDEN.rglob("*.json"))
"""Every shape that was ever written: a type's first one, and in folders named by what was added, the later ones."""

PRIVATE_WORDS = frozenset(
    "address alias allergy answer answers birth birthday born city comment complaint contact diagnosis display dose doses email "
    "ethnicity family fax finding findings first forename free gender height history last letter mail medication message mg "
    "middle mobile mood mrn name names narrative note notes phone postal pressure prefix pulse race rate reason reading religion "
    "remark result saturation score scores sex signature spo2 ssn street suffix summary surname symptom symptoms systolic diastolic "
    "telecom text title token total url value values vital vitals weight zip".split()
)
"""Words that no field of an event may be made of: they name people, reach them, or say what was measured, told or given."""

PUBLIC_IN_SPITE_OF_IT = {"first_of_course", "contact_version"}
"""Fields that hold such a word and are harmless: a flag, not a first name; a number that counts ways of contact, none of them."""

CODES = frozenset({
    "cancelled_by", "client_id", "code", "consent_type", "consent_version", "language", "outcome", "patient_number",
    "patient_time_zone", "protocol_code", "roles", "standing", "status", "time_zone",
})  # fmt: skip
"""Every field that holds text, each one a code, a zone or a number given by the clinic. A new one is thought about, then added."""


def name_of(sample: Path) -> str:
    return sample.stem


def shape_of(sample: Path) -> str:
    return str(sample.relative_to(GOLDEN).with_suffix(""))


def event_requested() -> InfusionEventRequested:
    return InfusionEventRequested(occurred_at=datetime(2026, 3, 9, tzinfo=UTC), infusion_id=uuid4(), patient_id=uuid4())


def test_every_event_type_has_a_golden_sample() -> None:
    assert {cls.type.full_name for cls in registry.classes()} <= {name_of(sample) for sample in SAMPLES}


@pytest.mark.parametrize("sample", SAMPLES, ids=shape_of)
def test_a_golden_sample_is_read_and_no_value_changes(sample: Path) -> None:
    written = json.loads(sample.read_text())
    event = registry.read(name_of(sample), sample.read_bytes())
    assert written == {name: value for name, value in json.loads(event.to_bytes()).items() if name in written}


@pytest.mark.parametrize("sample", SAMPLES, ids=shape_of)
def test_a_field_that_a_newer_producer_added_is_ignored(sample: Path) -> None:
    newer = json.loads(sample.read_text()) | {"added_later": {"deep": [1, 2]}}
    event = registry.read(name_of(sample), json.dumps(newer).encode())
    assert event == registry.read(name_of(sample), sample.read_bytes())


@pytest.mark.parametrize("cls", registry.classes(), ids=lambda cls: cls.type.full_name)
def test_a_field_that_is_not_declared_cannot_be_written(cls: type[Event]) -> None:
    fields = json.loads((GOLDEN / f"{cls.type.full_name}.json").read_text())
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        cls.model_validate(fields | {"patient_name": "Ada"})


def test_an_event_cannot_be_changed_once_made() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        event_requested().occurred_at = datetime.now(UTC)  # type: ignore[misc]  # that it cannot be assigned is the point


def test_an_event_that_is_too_large_is_refused_on_writing_and_on_reading() -> None:
    small = registry.read("intake.patient.changed.v1", (GOLDEN / "intake.patient.changed.v1.json").read_bytes())
    large = small.model_copy(update={"patient_number": "9" * MAX_EVENT_BYTES})
    with pytest.raises(MalformedEvent, match="event-too-large"):
        large.to_bytes()
    with pytest.raises(MalformedEvent, match="event-too-large"):
        registry.read("intake.patient.changed.v1", large.model_dump_json().encode())


def test_the_largest_event_passes() -> None:
    small = registry.read("intake.patient.changed.v1", (GOLDEN / "intake.patient.changed.v1.json").read_bytes())
    assert isinstance(small, PatientChanged)
    room = MAX_EVENT_BYTES - len(small.to_bytes()) + len(small.patient_number)
    largest = small.model_copy(update={"patient_number": "9" * room})
    assert len(largest.to_bytes()) == MAX_EVENT_BYTES
    assert registry.read("intake.patient.changed.v1", largest.to_bytes()) == largest


def test_a_new_major_version_is_told_from_a_foreign_type() -> None:
    with pytest.raises(UnknownEvent, match="event-version-unknown") as newer:
        registry.read("sessions.infusion.completed.v2", b"{}")
    with pytest.raises(UnknownEvent, match="event-type-unknown") as foreign:
        registry.read("sessions.infusion.teleported.v1", b"{}")
    assert (newer.value.known_name, foreign.value.known_name) == (True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"{}",
        b'{"occurred_at": "2026-03-09T17:10:00", "infusion_id": "%ID%", "patient_id": "%ID%"}',
        b'{"occurred_at": NaN, "infusion_id": "%ID%", "patient_id": "%ID%"}',
        b'{"occurred_at": "2026-03-09T17:10:00Z", "infusion_id": null, "patient_id": "%ID%"}',
        b'{"occurred_at": "2026-03-09T17:10:00Z", "infusion_id": "Ada Lovelace", "patient_id": "%ID%"}',
    ],
    ids=["nothing", "null", "list", "cut off", "not text", "empty", "time without zone", "NaN", "no id", "not an id"],
)
def test_bytes_that_do_not_fit_are_refused_without_repeating_them(data: bytes) -> None:
    with pytest.raises(MalformedEvent) as refused:
        registry.read("followup.infusion.event-requested.v1", data.replace(b"%ID%", str(uuid4()).encode()))
    assert str(refused.value) == "event-malformed"
    assert refused.value.__cause__ is None


def test_a_type_cannot_be_declared_twice() -> None:
    class Twin(Event):
        type = EventType("intake", "twin.changed", 1, "Twin", "twin_id", "twin_id")

    own = Registry()
    own.add(Twin)
    with pytest.raises(ValueError, match=r"intake\.twin\.changed\.v1 is declared twice"):
        own.add(Twin)


@pytest.mark.parametrize("cls", registry.classes(), ids=lambda cls: cls.type.full_name)
def test_what_is_about_a_patient_is_keyed_by_the_patient(cls: type[Event]) -> None:
    assert cls.type.key_field in cls.model_fields
    assert cls.type.subject_field in cls.model_fields
    if "patient_id" in cls.model_fields:
        assert cls.type.key_field == "patient_id"


@pytest.mark.parametrize("cls", registry.classes(), ids=lambda cls: cls.type.full_name)
def test_no_field_names_what_is_private(cls: type[Event]) -> None:
    suspicious = {name for name in cls.model_fields if PRIVATE_WORDS & set(name.split("_"))}
    assert suspicious <= PUBLIC_IN_SPITE_OF_IT


@pytest.mark.parametrize("cls", registry.classes(), ids=lambda cls: cls.type.full_name)
def test_every_text_is_a_known_code(cls: type[Event]) -> None:
    texts = {name for name, field in cls.model_fields.items() if str in {field.annotation, *get_args(field.annotation)}}
    assert texts <= CODES


@pytest.mark.parametrize("cls", registry.classes(), ids=lambda cls: cls.type.full_name)
def test_the_class_says_what_the_fact_is(cls: type[Event]) -> None:
    assert cls.__doc__
    assert cls.__doc__ != Event.__doc__
