"""What we write as an event's envelope is CloudEvents 1.0 in Kafka's binary mode, as the public SDK reads it."""

from datetime import UTC, datetime
from uuid import UUID

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from shared.bus import cloud_event_headers

_EVENT, _CLINIC, _KEY, _FLOW, _CAUSE = (UUID(int=n) for n in range(1, 6))
_AT = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_public_sdk_reads_our_envelope() -> None:
    read = read_by_the_sdk(_FLOW, _CAUSE, _TRACE)
    assert (read.get_specversion(), read.get_id(), read.get_source()) == ("1.0", str(_EVENT), "/sessions")
    assert (read.get_type(), read.get_subject(), read.get_time()) == ("sessions.infusion.started.v1", "Infusion/1", _AT)
    assert (read.get_datacontenttype(), read.get_data()) == ("application/json", {"number": 1})
    assert extensions(read) == {
        "partitionkey": str(_KEY),
        "sequence": "7",
        "clinicid": str(_CLINIC),
        "correlationid": str(_FLOW),
        "causationid": str(_CAUSE),
    }


def test_what_an_event_lacks_is_left_out() -> None:
    assert extensions(read_by_the_sdk(None, None, None)).keys() == {"partitionkey", "sequence", "clinicid"}


def read_by_the_sdk(correlation_id: UUID | None, causation_id: UUID | None, traceparent: str | None) -> BaseCloudEvent:
    headers = cloud_event_headers(
        event_id=_EVENT,
        type_name="sessions.infusion.started.v1",
        source="/sessions",
        subject="Infusion/1",
        occurred_at=_AT,
        key=str(_KEY),
        sequence=7,
        clinic_id=_CLINIC,
        correlation_id=correlation_id,
        causation_id=causation_id,
        traceparent=traceparent,
    )
    return from_binary_event(KafkaMessage(dict(headers), str(_KEY).encode(), b'{"number":1}'))


def extensions(event: BaseCloudEvent) -> dict[str, object]:
    core = {"specversion", "id", "source", "type", "subject", "time", "datacontenttype"}
    return {name: value for name, value in event.get_attributes().items() if name not in core}
