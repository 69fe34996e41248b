"""What of a record an operator sees: nothing in which a defective producer could have put something about a patient."""

from base64 import b64encode
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from shared.bus import cloud_event_headers
from shared.events import registry
from shared.pipeline import shown

A_UUID = "2f1d0e62-6ad0-4b8e-9d34-1f8f0d6f7a11"


def encoded(**named: str) -> list[tuple[str, str]]:
    return [(name, b64encode(value.encode()).decode()) for name, value in named.items()]


def test_the_headers_of_our_own_events_are_shown() -> None:
    for sequence, moment in ((1, datetime(2026, 3, 9, 17, 10, tzinfo=UTC)), (9_999_999, datetime(2031, 1, 1, 0, 0, 0, 5, tzinfo=UTC))):
        named = cloud_event_headers(
            event_id=uuid4(),
            type_name="sessions.infusion.completed.v1",
            source="/sessions",
            subject=f"Infusion/{A_UUID}",
            occurred_at=moment,
            key=str(uuid4()),
            sequence=sequence,
            clinic_id=uuid4(),
            correlation_id=uuid4(),
            causation_id=uuid4(),
            traceparent=f"00-{uuid4().hex}-{uuid4().hex[:16]}-01",
        )
        wanted = {name: value.decode() for name, value in named if name not in ("content-type", "ce_specversion")}
        assert shown.headers(encoded(**wanted), registry) == wanted


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_subject", f"JaneDoeBornNineteenEighty/{A_UUID}"),
        ("ce_subject", "Infusion/JaneDoe"),
        ("ce_subject", A_UUID),
        ("ce_sequence", "078051120"),
        ("ce_sequence", "978051120"),
        ("ce_sequence", "19800505"),
        ("ce_sequence", "2125550123"),
        ("ce_sequence", "0"),
        ("ce_time", "1980-05-05T00:00:00Z"),
        ("ce_time", "1980-05-05"),
        ("ce_time", "2026-03-09T17:10:00+01:23:45"),
        ("ce_time", "2026-13-09T17:10:00Z"),
        ("ce_type", "sessions.jane-doe.v1"),
        ("ce_id", "Jane"),
    ],
)
def test_what_may_tell_of_a_patient_is_left_out(header: str, value: str) -> None:
    assert shown.headers(encoded(**{header: value}), registry) == {}
