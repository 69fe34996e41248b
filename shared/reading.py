"""From records to deliveries: what of a chunk can be handled, what must be parked and why, and what is nothing to us."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from shared.bus import Envelope, Record, read_envelope
from shared.events.registry import Delivery, Event, MalformedEvent, Registry, UnknownEvent
from shared.parked import Parking


@dataclass(frozen=True, slots=True)
class Readable:
    """A record that is an event we have a handler for."""

    record: Record
    envelope: Envelope
    delivery: Delivery[Event]


@dataclass(slots=True)
class Chunk:
    """Records after reading; what the transaction finds out about them is added."""

    readable: list[Readable] = field(default_factory=list)
    parkings: list[Parking] = field(default_factory=list)
    ignored: int = 0
    duplicates: int = 0


def read(records: Sequence[Record], registry: Registry, handled: Collection[type[Event]]) -> Chunk:
    """Read records, in order. An unknown type is ignored; an unknown version of a known type waits for a release that knows it."""
    chunk = Chunk()
    for record in records:
        try:
            _add(chunk, record, registry, handled)
        except ValueError:
            chunk.parkings.append(Parking.of(record, reason="undecodable", error_class="event-malformed"))
        except MalformedEvent as malformed:
            chunk.parkings.append(Parking.of(record, reason="undecodable", error_class=malformed.code))
        except UnknownEvent as unknown:
            if unknown.known_name:
                chunk.parkings.append(Parking.of(record, reason="version-unknown", error_class="event-version-unknown"))
            else:
                chunk.ignored += 1
    return chunk


def read_delivery(record: Record, registry: Registry) -> Delivery[Event]:
    """One record as a delivery. Raises ValueError, MalformedEvent or UnknownEvent."""
    return _delivery(_event(record, read_envelope(record), registry), read_envelope(record))


def _add(chunk: Chunk, record: Record, registry: Registry, handled: Collection[type[Event]]) -> None:
    envelope = read_envelope(record)
    event = _event(record, envelope, registry)
    if type(event) in handled:
        chunk.readable.append(Readable(record, envelope, _delivery(event, envelope)))


def _event(record: Record, envelope: Envelope, registry: Registry) -> Event:
    event = registry.read(envelope.type_name, record.value or b"")
    if event.key != envelope.key or event.type.topic != record.topic:
        raise MalformedEvent
    return event


def _delivery(event: Event, envelope: Envelope) -> Delivery[Event]:
    return Delivery(event, envelope.event_id, envelope.clinic_id, envelope.sequence, envelope.correlation_id, envelope.traceparent)
