"""Parking: what cannot be handled is set aside with its reason, and what follows it for its key.

A parked event blocks its key: later events of the key park behind it, so redriving the key replays one patient's story in order.
"""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Envelope, Headers, Record, event_id_of, sequence_of
from shared.events.registry import MalformedEvent, UnknownEvent
from shared.parked_reasons import NEVER_APPLIED, ParkedReason
from shared.statements import Statement

TIME_OFF = "event-time-off"
"""The code of an event whose time is years off."""
TOO_MANY_HOPS = "event-too-many-hops"
"""The code of an event that follows from too many others."""


class Enveloped(Protocol):
    """A record with its envelope."""

    @property
    def record(self) -> Record: ...
    @property
    def envelope(self) -> Envelope: ...


@dataclass(frozen=True, slots=True)
class Parking:
    """One record to be parked."""

    record: Record
    event_id: UUID | None
    key: str | None
    reason: ParkedReason
    error_class: str
    attempts: int
    blocks_key: bool

    @classmethod
    def of(cls, record: Record, *, reason: ParkedReason, error_class: str, attempts: int = 1) -> "Parking":
        """Take the key and, where it can be read, the event's id from the record. What is never applied blocks no key."""
        key = key_of(record)
        return cls(record, event_id_of(record), key, reason, error_class, attempts, key is not None and reason not in NEVER_APPLIED)


class PlaceTaken(Exception):
    """Another event is parked at this offset, from before the topic was made anew."""


R = TypeVar("R", bound=Enveloped)


async def behind(db: AsyncSession, consumer: str, fresh: Sequence[R], parkings: Sequence[Parking]) -> tuple[list[R], list[Parking]]:
    """Split what is fresh into what may be handled and what must follow an earlier record of its key into the car park.

    What failed holds up the whole key, whatever the topic: nobody knows yet what it would have changed, and a death that could not be
    applied must not be followed by work as if nothing were missing. A person is called at once. A flood holds up its own topic only: it is
    well and waits for nothing but its turn, nobody is called, and a patient's death must not wait for a faulty import of infusions. A
    gap holds nothing up: numbers count within a topic, and what has no gap before it comes before what has. What follows a flood is of it.
    """
    if not fresh:
        return [], []
    heads = await _heads(db, consumer, sorted({(item.record.topic, item.envelope.key) for item in fresh}))
    failed: dict[str, int] = {}
    for parking in parkings:
        if parking.blocks_key and parking.key is not None and parking.reason != ParkedReason.SEQUENCE_GAP:
            failed.setdefault(parking.key, parking.record.offset)
    free: list[R] = []
    following: list[Parking] = []
    for item in fresh:
        head = heads.get((item.record.topic, item.envelope.key))
        if head is None and item.record.offset < failed.get(item.envelope.key, item.record.offset + 1):
            free.append(item)
        else:
            why = ParkedReason.FLOOD if head == ParkedReason.FLOOD else ParkedReason.BEHIND_PARKED_KEY
            following.append(Parking.of(item.record, reason=why, error_class=why.value))
    return free, following


async def _heads(db: AsyncSession, consumer: str, lines: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Why each of these keys, each with its topic, is held up there: the reason of the oldest record that holds it up.

    The share lock waits for a redrive of the key that is under way, and makes a redrive wait for us. What was settled while we waited
    is looked at again, for the next one of the key may hold it up.
    """
    while True:
        rows = await _HEADS.rows(db, consumer=consumer, topics=[topic for topic, _ in lines], keys=[key for _, key in lines])
        if all(row["reason"] is not None for row in rows):
            return {(row["topic"], row["key"]): row["reason"] for row in rows}


async def park(db: AsyncSession, consumer: str, parkings: Sequence[Parking]) -> None:
    """Keep these records, in this transaction and in their order; one that is there already stays as it is.

    A settled one gives its place to an event that this consumer has never had, or to other bytes where nobody can read which event they
    are: the topic was made anew, and its offsets began again. Raises
    PlaceTaken where the one that is there still waits: nothing goes on until a person has settled it.
    """
    if not parkings:
        return
    placed = {(one.record.topic, one.record.partition, one.record.offset): one for one in reversed(parkings)}
    rows = [_row(placed[place]) for place in sorted(placed, key=lambda place: place[2])]
    await db.execute(_PARK, {"consumer": consumer, **{name: [row[name] for row in rows] for name in _COLUMNS}})
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


def _row(parking: Parking) -> dict[str, object]:
    record = parking.record
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "event_id": parking.event_id,
        "key": parking.key,
        "blocks_key": parking.blocks_key,
        "headers": kept(record.headers),
        "value": record.value,
        "reason": parking.reason.value,
        "error_class": parking.error_class,
        "attempts": parking.attempts,
        "sequence": sequence_of(record),
    }


def reason_of(error: Exception) -> tuple[ParkedReason, str]:
    """Why a record is parked that failed like this, and its class of errors; never the error's text."""
    if isinstance(error, MalformedEvent):
        return _OF_CODES.get(error.code, ParkedReason.UNDECODABLE), error.code
    if isinstance(error, UnknownEvent):
        return ParkedReason.VERSION_UNKNOWN, "event-version-unknown"
    return ParkedReason.POISON, type(error).__name__


def key_of(record: Record) -> str | None:
    """A record's key as text; one that is none, or that the database could not hold, is no key of ours."""
    try:
        key = record.key.decode("utf-8") if record.key is not None else None
    except UnicodeDecodeError:
        return None
    return None if key is None or "\x00" in key else key


_OF_CODES = {
    "event-tenant-mismatch": ParkedReason.TENANT_MISMATCH,
    TIME_OFF: ParkedReason.TIME_OFF,
    TOO_MANY_HOPS: ParkedReason.TOO_MANY_HOPS,
}
HOLDS_UP = "consumer = :consumer AND state = 'parked' AND blocks_key AND reason <> 'sequence-gap'"
"""What is parked and holds up its key, as a condition on a row of the table."""
_OF_TOPIC = "(reason <> 'flood' OR topic = given.topic)"
_HEADS = Statement(
    f"""
    SELECT given.topic, given.key, (
        SELECT reason FROM platform.parked WHERE {HOLDS_UP} AND key = given.key AND {_OF_TOPIC} ORDER BY parked_id LIMIT 1 FOR SHARE
    ) AS reason
    FROM unnest(CAST(:topics AS text[]), CAST(:keys AS text[])) AS given(topic, key)
    WHERE EXISTS (SELECT FROM platform.parked WHERE {HOLDS_UP} AND key = given.key AND {_OF_TOPIC})
    """  # noqa: S608 - conditions of our own
)
_COLUMNS = {
    "topic": "text", "partition": "int", "offset": "bigint", "event_id": "uuid", "key": "text", "blocks_key": "boolean", "headers": "text",
    "value": "bytea", "reason": "text", "error_class": "text", "attempts": "int", "sequence": "bigint",
}  # fmt: skip
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_PARK = text(
    f"""
    INSERT INTO platform.parked (consumer, {_NAMES})
    SELECT :consumer, {_NAMES.replace('"headers"', 'CAST("headers" AS jsonb)')}
    FROM unnest({", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _COLUMNS.items())}) AS given({_NAMES})
    ORDER BY "offset"
    ON CONFLICT (consumer, topic, partition, "offset") DO UPDATE
    SET parked_id = DEFAULT, event_id = EXCLUDED.event_id, key = EXCLUDED.key, blocks_key = EXCLUDED.blocks_key,
        headers = EXCLUDED.headers, value = EXCLUDED.value, reason = EXCLUDED.reason, error_class = EXCLUDED.error_class,
        attempts = EXCLUDED.attempts, sequence = EXCLUDED.sequence, state = 'parked', parked_at = now(), settled_at = NULL,
        settled_by = NULL, settled_why = NULL
    WHERE platform.parked.state <> 'parked' AND (EXCLUDED.event_id IS NOT NULL OR platform.parked.value IS DISTINCT FROM EXCLUDED.value)
    """  # noqa: S608 - column names of our own
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
