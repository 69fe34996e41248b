"""Records that no producer of ours would write, put on a topic past the producers."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from shared.bus import Headers, cloud_event_headers, partition_of
from shared.events.registry import MAX_EVENT_BYTES
from tests.faults.checker import INJECTED


@dataclass(frozen=True)
class Poison:
    """One record, and what must become of it: the reason and the class that it is parked with, or None where it is only counted."""

    what: str
    topic: str
    key: str
    value: bytes | None
    headers: Headers
    event_id: UUID
    parked: tuple[str, str] | None

    @property
    def partition(self) -> int:
        return partition_of(self.key)


def cabinet(topic: str, type_name: str, *, patient_id: UUID, valid: bytes, clinic_id: UUID) -> list[Poison]:
    """One of each kind for a topic, made from a ``valid`` event of ``type_name`` about a real patient of ``clinic_id``.

    All but the last have keys that nobody else has: a parked key must hold up nobody but itself.
    """

    def of(what: str, value: bytes | None, parked: tuple[str, str] | None, *, type_name: str = type_name, key: str = "") -> Poison:
        event_id, key = uuid4(), key or str(uuid4())
        headers = cloud_event_headers(
            event_id=event_id,
            type_name=type_name,
            source=f"/{topic.partition('.')[0]}",
            subject="Patient/unknown",
            occurred_at=datetime.now(UTC),
            key=key,
            sequence=1,
            clinic_id=uuid4() if key == str(patient_id) else clinic_id,
            correlation_id=None,
            causation_id=None,
            traceparent=None,
        )
        return Poison(what, topic, key, value, (*headers, (INJECTED, what.encode())), event_id, parked)

    bare = of("no envelope", valid, ("undecodable", "event-malformed"))
    name = type_name.rpartition(".v")[0]
    return [
        of("not JSON", b"\xff{never closed", ("undecodable", "event-malformed")),
        of("null value", None, ("undecodable", "event-malformed")),
        of("300 KiB", json.dumps({"padding": "x" * 300 * 1024}).encode(), ("undecodable", "event-too-large")),
        of("unknown type", valid, None, type_name=f"{topic.partition('.')[0]}.tide.turned.v1"),
        of("unknown major version", valid, ("version-unknown", "event-version-unknown"), type_name=f"{name}.v9"),
        Poison(bare.what, topic, bare.key, valid, ((INJECTED, b"no envelope"),), bare.event_id, bare.parked),
        of("another clinic's patient", valid, ("tenant-mismatch", "event-tenant-mismatch"), key=str(patient_id)),
    ]


assert MAX_EVENT_BYTES < 300 * 1024, "300 KiB would be no poison"
