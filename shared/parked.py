"""Parked records: what could not be handled, kept with its reason, and the ways a person can settle it.

A parked event blocks its key: later events of the key park behind it, so redriving the key replays one patient's story in order.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Envelope, Headers, Record, event_id_of
from shared.statements import Statement

REASONS = ("poison", "undecodable", "version-unknown", "tenant-mismatch", "behind-parked-key")
"""Why a consumer parks a record."""


class Enveloped(Protocol):
    """A record with its envelope."""

    @property
    def record(self) -> Record: ...
    @property
    def envelope(self) -> Envelope: ...


@dataclass(frozen=True, slots=True)
class ParkedRecord:
    """A parked record as it is needed to try it again."""

    parked_id: int
    topic: str
    partition: int
    offset: int
    event_id: UUID | None
    key: str | None
    headers: list[list[str]]
    value: bytes | None
    reason: str

    def as_record(self) -> Record:
        """The record as it came from the bus."""
        headers = tuple((name, b64decode(value)) for name, value in self.headers)
        return Record(self.topic, self.partition, self.offset, self.key.encode() if self.key is not None else None, self.value, headers)


@dataclass(frozen=True, slots=True)
class Parking:
    """One record to be parked."""

    record: Record
    event_id: UUID | None
    key: str | None
    reason: str
    error_class: str
    attempts: int
    blocks_key: bool

    @classmethod
    def of(cls, record: Record, *, reason: str, error_class: str, attempts: int = 1, blocks_key: bool = True) -> "Parking":
        """Take the key and, where it can be read, the event's id from the record."""
        key = _text(record.key)
        return cls(record, event_id_of(record), key, reason, error_class, attempts, blocks_key and key is not None)


class PlaceTaken(Exception):
    """Another event is parked at this offset, from before the topic was made anew."""


R = TypeVar("R", bound=Enveloped)


async def behind(db: AsyncSession, consumer: str, fresh: Sequence[R], parkings: Sequence[Parking]) -> tuple[list[R], list[Parking]]:
    """Split what is fresh into what may be handled and what must follow an earlier record of its key into the car park.

    The share lock waits for a redrive of the key that is under way, and makes a redrive wait for us.
    """
    if not fresh:
        return [], []
    keys = sorted({item.envelope.key for item in fresh})
    blocked = {row["key"]: -1 for row in await _BLOCKED.rows(db, consumer=consumer, keys=keys)}
    for parking in parkings:
        if parking.blocks_key and parking.key is not None:
            blocked.setdefault(parking.key, parking.record.offset)
    free = [item for item in fresh if item.record.offset < blocked.get(item.envelope.key, item.record.offset + 1)]
    following = [
        Parking.of(item.record, reason="behind-parked-key", error_class="behind-parked-key")
        for item in fresh
        if item.record.offset >= blocked.get(item.envelope.key, item.record.offset + 1)
    ]
    return free, following


async def park(db: AsyncSession, consumer: str, parkings: Sequence[Parking]) -> None:
    """Keep these records, in this transaction and in their order; one that is there already stays as it is.

    A settled one gives its place to an event that this consumer has never had, or to other bytes where nobody can read which event they
    are: the topic was made anew, and its offsets began again. Raises
    PlaceTaken where the one that is there still waits: nothing goes on until a person has settled it.
    """
    if not parkings:
        return
    await db.execute(_PARK, [_row(consumer, parking) for parking in sorted(parkings, key=lambda parking: parking.record.offset)])
    given = {
        "topics": [parking.record.topic for parking in parkings],
        "partitions": [parking.record.partition for parking in parkings],
        "offsets": [parking.record.offset for parking in parkings],
        "event_ids": [parking.event_id for parking in parkings],
    }
    if (await db.execute(_TAKEN, {**given, "consumer": consumer})).first() is not None:
        raise PlaceTaken


def kept(headers: Headers) -> str:
    """Headers as they are kept: bytes that nobody could read come back as they were."""
    # A name is text already, and JSON in PostgreSQL takes any but NUL.
    return json.dumps([[name.replace("\x00", "\ufffd"), b64encode(value).decode()] for name, value in headers])


def _row(consumer: str, parking: Parking) -> dict[str, object]:
    record = parking.record
    return {
        "consumer": consumer,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "event_id": parking.event_id,
        "key": parking.key,
        "blocks_key": parking.blocks_key,
        "headers": kept(record.headers),
        "value": record.value,
        "reason": parking.reason,
        "error_class": parking.error_class,
        "attempts": parking.attempts,
    }


async def next_of_key(db: AsyncSession, consumer: str, key: str) -> ParkedRecord | None:
    """The oldest parked record of a key that holds it up, locked, or None. What was set aside is never tried again, only discarded."""
    row = (await db.execute(_NEXT, {"consumer": consumer, "key": key})).mappings().first()
    return None if row is None else ParkedRecord(**row)


async def settle(db: AsyncSession, parked_id: int, *, state: str, by: str, why: str | None = None) -> None:
    """Mark a record as resolved or discarded, by whom and why."""
    await db.execute(_SETTLE, {"parked_id": parked_id, "state": state, "by": by, "why": why})


def _text(value: bytes | None) -> str | None:
    """A key as text; one that is none, or that the database could not hold, is no key of ours."""
    try:
        key = value.decode("utf-8") if value is not None else None
    except UnicodeDecodeError:
        return None
    return None if key is None or "\x00" in key else key


_BLOCKED = Statement(
    """
    SELECT key FROM platform.parked WHERE consumer = :consumer AND key = ANY(CAST(:keys AS text[])) AND state = 'parked' AND blocks_key
    ORDER BY parked_id FOR SHARE
    """
)
_PARK = text(
    """
    INSERT INTO platform.parked
        (consumer, topic, partition, "offset", event_id, key, blocks_key, headers, value, reason, error_class, attempts)
    VALUES
        (:consumer, :topic, :partition, :offset, :event_id, :key, :blocks_key, CAST(:headers AS jsonb), :value, :reason, :error_class,
         :attempts)
    ON CONFLICT (consumer, topic, partition, "offset") DO UPDATE
    SET parked_id = DEFAULT, event_id = EXCLUDED.event_id, key = EXCLUDED.key, blocks_key = EXCLUDED.blocks_key,
        headers = EXCLUDED.headers, value = EXCLUDED.value, reason = EXCLUDED.reason, error_class = EXCLUDED.error_class,
        attempts = EXCLUDED.attempts, state = 'parked', parked_at = now(), settled_at = NULL, settled_by = NULL, settled_why = NULL
    WHERE platform.parked.state <> 'parked' AND (EXCLUDED.event_id IS NOT NULL OR platform.parked.value IS DISTINCT FROM EXCLUDED.value)
    """
)
_TAKEN = text(
    """
    SELECT 1 FROM platform.parked p
    JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:offsets AS bigint[]), CAST(:event_ids AS uuid[]))
         AS given(topic, partition, "offset", event_id)
      ON p.topic = given.topic AND p.partition = given.partition AND p."offset" = given."offset"
    WHERE p.consumer = :consumer AND p.state = 'parked' AND given.event_id IS NOT NULL AND p.event_id IS DISTINCT FROM given.event_id
    LIMIT 1
    """
)
_FIELDS = 'parked_id, topic, partition, "offset", event_id, key, headers, value, reason'
_NEXT = text(
    f"SELECT {_FIELDS} FROM platform.parked WHERE consumer = :consumer AND key = :key AND state = 'parked' AND blocks_key "  # noqa: S608 - ours
    "ORDER BY parked_id LIMIT 1 FOR UPDATE"
)
_SETTLE = text(
    "UPDATE platform.parked SET state = :state, settled_at = now(), settled_by = :by, settled_why = :why WHERE parked_id = :parked_id"
)
