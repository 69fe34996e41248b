"""From records to deliveries: what of a chunk can be handled, what must be parked and why, and what is nothing to us."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from shared.bus import Envelope, Record, read_envelope
from shared.clock import Clock
from shared.events.registry import Delivery, Event, MalformedEvent, Registry, UnknownEvent
from shared.parking import TIME_OFF, TOO_MANY_HOPS, Parking, reason_of
from shared.seen import Seen


@dataclass(frozen=True, slots=True)
class Readable:
    """A record that is an event we have a handler for."""

    record: Record
    envelope: Envelope
    delivery: Delivery[Event]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What no event of ours goes beyond. One that does is a defect, or was written by somebody else."""

    clock: Clock
    ahead: timedelta
    behind: timedelta
    """How far an event's time may be from now."""
    in_minute: int
    """Events of one key that are handled within a minute; what is more waits in the car park."""

    def check(self, envelope: Envelope) -> None:
        """Raises MalformedEvent("event-time-off")."""
        now = self.clock.now()
        if envelope.time is not None and not now - self.behind <= envelope.time <= now + self.ahead:
            raise MalformedEvent(TIME_OFF)


MOST_HOPS = 8
"""An event follows from as many others at most. No chain of ours has more than two; a longer one is two services that answer each other."""


def check_hops(envelope: Envelope) -> None:
    """Raises MalformedEvent("event-too-many-hops"): nobody applies such an event, and nothing of its key was made by it."""
    if envelope.hops > MOST_HOPS:
        raise MalformedEvent(TOO_MANY_HOPS)


@dataclass(slots=True)
class Chunk:
    """Records after reading; what the transaction finds out about them is added."""

    readable: list[Readable] = field(default_factory=list)
    parkings: list[Parking] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    ignored: int = 0
    duplicates: int = 0


def read(records: Sequence[Record], registry: Registry, handled: Collection[type[Event]], bounds: Bounds | None = None) -> Chunk:
    """Read records, in order. An unknown type is ignored; an unknown version of a known type waits for a release that knows it."""
    chunk = Chunk(records=list(records))
    for record in records:
        try:
            _add(chunk, record, registry, handled, bounds)
        except ValueError:
            chunk.parkings.append(_parking(record, MalformedEvent()))
        except MalformedEvent as malformed:
            chunk.parkings.append(_parking(record, malformed))
        except UnknownEvent as unknown:
            if unknown.known_name:
                chunk.parkings.append(_parking(record, unknown))
            else:
                chunk.ignored += 1
    return chunk


def _parking(record: Record, why: MalformedEvent | UnknownEvent) -> Parking:
    reason, error_class = reason_of(why)
    return Parking.of(record, reason=reason, error_class=error_class)


def in_sequence(fresh: Sequence[Readable]) -> list[Readable]:
    """The same, each key's in the order of its numbers: one that came late stands where it belongs."""
    of_key: dict[tuple[str, str], list[Readable]] = {}
    for item in sorted(fresh, key=lambda item: item.envelope.sequence):
        of_key.setdefault((item.record.topic, item.envelope.key), []).append(item)
    turns = {key: iter(items) for key, items in of_key.items()}
    return [next(turns[item.record.topic, item.envelope.key]) for item in fresh]


def read_delivery(record: Record, registry: Registry) -> Delivery[Event]:
    """One record as a delivery. Raises ValueError, MalformedEvent or UnknownEvent."""
    return _delivery(_event(record, read_envelope(record), registry), read_envelope(record))


def _add(chunk: Chunk, record: Record, registry: Registry, handled: Collection[type[Event]], bounds: Bounds | None) -> None:
    envelope = read_envelope(record)
    event = _event(record, envelope, registry)
    if type(event) not in handled:
        return
    if bounds is not None:
        bounds.check(envelope)
    check_hops(envelope)
    chunk.readable.append(Readable(record, envelope, _delivery(event, envelope)))


def _event(record: Record, envelope: Envelope, registry: Registry) -> Event:
    event = registry.read(envelope.type_name, record.value or b"")
    if event.key != envelope.key or event.type.topic != record.topic:
        raise MalformedEvent
    return event


def _delivery(event: Event, envelope: Envelope) -> Delivery[Event]:
    given = (envelope.event_id, envelope.clinic_id, envelope.sequence, envelope.correlation_id, envelope.traceparent, envelope.hops)
    return Delivery(event, *given)
