"""What the pipeline knows of a bus: records, how an event becomes one, and the two things that a bus can do.

The envelope is CloudEvents 1.0 in the binary mode of its Kafka binding: the value is the event's bytes, everything else is a header.
"""

import asyncio
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Protocol
from uuid import UUID

PARTITIONS = 12
"""Of every topic, for ever: another number would move keys, and with them the order of one patient's events."""

Headers = tuple[tuple[str, bytes], ...]
Place = tuple[str, int]
"""A partition, as topic and number."""


_NUMBER = re.compile(rb"[0-9]{1,18}")
"""Fits a ``bigint``."""


class BusUnavailable(Exception):
    """The bus did not take or give records; nothing is known to be lost, try again later."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event on its way out of an outbox. ``seq`` names its row."""

    seq: int
    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Record:
    """One record as a consumer receives it; anything may be missing or wrong in it. ``offset`` grows along a partition."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    written_at: float | None = field(default=None, compare=False)
    """When the bus took it, in seconds since 1970; None where the bus does not say. For measuring only."""


@dataclass(slots=True)
class Published:
    """What became of a batch: rows the bus has durably taken, partitions that failed, rows that no bus will ever take."""

    taken: list[int] = field(default_factory=list)
    failed_partitions: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)


class Fenced(Exception):
    """The stored offset is not what this worker expected: another one has moved it, or our own commit did and we never heard."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a consumer is in a partition: the next offset to read and the id of the last event before it."""

    next_offset: int
    last_event_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a consumer is behind in one partition."""

    topic: str
    partition: int
    position: int
    """The next offset to handle."""
    records: int
    """Not handled yet."""
    oldest_at: float | None = None
    """When the bus took the oldest of them, where this process has it in hand."""
    held: bool = False
    """Whether it waits for a person, since records that were to come next are lost."""


ALARMS = ("gap", "retention-loss", "another-log", "stalled", "not-handled")
"""Why a bus tells people about a partition."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a bus holds of one partition: from ``first_offset`` up to before ``end_offset``; ``waiting_since`` is when the next one came."""

    first_offset: int
    end_offset: int
    waiting_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reread:
    """Records of a range that are still there, and the offset to go on at."""

    records: Sequence[Record]
    next_offset: int


class Subscriber(Protocol):
    """A service's inbox as the bus sees it."""

    consumer: str
    topics: tuple[str, ...]

    async def handle(self, records: Sequence[Record], *, partition: tuple[str, int] | None = None, expected: int | None = None) -> None:
        """Handle records in order. Raises Fenced, or Unavailable when nothing was done and it should be tried again."""

    async def position(self, topic: str, partition: int) -> Position | None:
        """The stored position, or None when this consumer has never read the partition."""

    async def positions(self) -> dict[tuple[str, int], Position]:
        """All stored positions, by topic and partition."""

    async def begin_at(self, topic: str, partition: int, position: Position) -> Position:
        """Store where to begin, unless a position is stored already; returns the stored one."""

    async def start_at(self, topic: str, partition: int, position: Position) -> None:
        """Store a position without having read up to it, in place of any other."""

    def alarm(self, reason: str, topic: str, partition: int) -> None:
        """Tell people about a partition that is not as it should be."""


class Bus(Protocol):
    """Durable transport of records, in order per key, at least once."""

    def subscribe(self, subscriber: Subscriber) -> None:
        """Declare a consumer before anything is published; records reach it while ``consume`` runs or, locally, at once."""

    async def publish(self, batch: Sequence[Outgoing]) -> Published:
        """Hand over a batch. Within a partition, what follows a failed record is not taken. Raises BusUnavailable."""

    async def consume(self, subscriber: Subscriber, stop: asyncio.Event) -> None:
        """Feed a subscriber until ``stop`` is set."""

    async def lags(self, subscriber: Subscriber) -> list[Lag]:
        """How far it is behind in every partition of its topics, whoever reads it. Raises BusUnavailable when that is not known now."""

    async def outlook(self, subscriber: Subscriber, positions: Mapping[Place, int]) -> dict[Place, Outlook]:
        """Every partition that this consumer reads, whoever reads it now; none on a bus without partitions. Raises BusUnavailable."""

    async def reached(self, subscriber: Subscriber, place: Place) -> int:
        """The first offset of a partition that this consumer has not handled by itself. Raises BusUnavailable."""

    async def offset_at(self, place: Place, moment: datetime) -> int:
        """The offset of the first record written at or after a moment, or of the one to come. Raises BusUnavailable."""

    async def again(self, place: Place, from_offset: int, to_offset: int, *, limit: int) -> Reread:
        """Records of a range, in order, without moving anybody's position. Raises BusUnavailable."""

    def queued(self, subscriber: Subscriber) -> int:
        """Records that were taken from the bus and wait in memory; bounded, whatever the lag is."""

    async def close(self) -> None:
        """Let go of all connections."""


def partition_of(key: str) -> int:
    """The partition of a key, fixed for ever."""
    return zlib.crc32(key.encode()) % PARTITIONS


def cloud_event_headers(
    *,
    event_id: UUID,
    type_name: str,
    source: str,
    subject: str,
    occurred_at: datetime,
    key: str,
    sequence: int,
    clinic_id: UUID,
    correlation_id: UUID | None,
    causation_id: UUID | None,
    traceparent: str | None,
    hops: int = 0,
) -> Headers:
    """The headers of one event; optional ones are left out."""
    named = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": str(event_id),
        "ce_type": type_name,
        "ce_source": source,
        "ce_subject": subject,
        "ce_time": occurred_at.isoformat().replace("+00:00", "Z"),
        "ce_partitionkey": key,
        "ce_sequence": str(sequence),
        "ce_clinicid": str(clinic_id),
        "ce_correlationid": str(correlation_id) if correlation_id else None,
        "ce_causationid": str(causation_id) if causation_id else None,
        "traceparent": traceparent,
        "ce_hops": str(hops) if hops else None,
    }
    return tuple((name, value.encode()) for name, value in named.items() if value is not None)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The envelope facts that a consumer acts on."""

    event_id: UUID
    type_name: str
    clinic_id: UUID
    key: str
    sequence: int
    correlation_id: UUID | None
    traceparent: str | None
    time: datetime | None = None
    hops: int = 0
    """How many events it follows from; 0 also of a producer that does not count them."""


def event_id_of(record: Record) -> UUID | None:
    """The id that a record names, however unreadable the rest of it is."""
    try:
        return UUID(dict(record.headers)["ce_id"].decode("ascii"))
    except (KeyError, ValueError):
        return None


def sequence_of(record: Record) -> int | None:
    """The number that a record names among those of its key, however unreadable the rest of it is."""
    number = dict(record.headers).get("ce_sequence", b"")
    return int(number) if _NUMBER.fullmatch(number) else None


def content_of(record: Record) -> bytes:
    """What a record says, in short: two with one id must agree in it. How it was sent may differ from release to release."""
    named = dict(record.headers)
    said = (record.topic.encode(), record.key or b"", named.get("ce_type", b""), named.get("ce_clinicid", b""), record.value or b"")
    return blake2b(b"".join(len(part).to_bytes(4, "big") + part for part in said), digest_size=16).digest()


def read_envelope(record: Record) -> Envelope:
    """Take the envelope from a record's headers. Raises ValueError when a required part is missing or not of its form."""
    named = dict(record.headers)
    try:
        if named["ce_specversion"] != b"1.0" or record.key is None:
            raise ValueError("not a CloudEvents 1.0 record with a key")
        correlation = named.get("ce_correlationid")
        trace = named.get("traceparent")
        time, hops, sequence = named.get("ce_time"), named.get("ce_hops", b"0"), sequence_of(record)
        if sequence is None or not _NUMBER.fullmatch(hops):
            raise ValueError("a number is none")
        return Envelope(
            event_id=UUID(named["ce_id"].decode("ascii")),
            type_name=named["ce_type"].decode("ascii"),
            clinic_id=UUID(named["ce_clinicid"].decode("ascii")),
            key=record.key.decode("utf-8"),
            sequence=sequence,
            correlation_id=UUID(correlation.decode("ascii")) if correlation else None,
            traceparent=trace.decode("ascii") if trace else None,
            time=_moment(time.decode("ascii")) if time else None,
            hops=int(hops),
        )
    except (KeyError, UnicodeDecodeError, AttributeError) as error:
        raise ValueError("envelope incomplete") from error


def _moment(written: str) -> datetime:
    """A time with its offset. Raises ValueError."""
    moment = datetime.fromisoformat(written)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment
