"""How far a consumer has come: one row per partition in its own database, moved by compare-and-set in the handling transaction."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Fenced, Place, Position, Record, event_id_of
from shared.statements import Statement

WHOLE_TOPIC = -1
"""Stands in for a partition where a bus without partitions notes that a consumer has been shown a topic's history."""


async def read(db: AsyncSession, consumer: str, place: Place) -> Position | None:
    """The stored position, or None."""
    row = (await db.execute(_READ, _named(consumer, place))).first()
    return None if row is None else Position(row.next_offset, row.last_event_id)


async def read_all(db: AsyncSession, consumer: str) -> dict[Place, Position]:
    """All stored positions of a consumer."""
    rows = await db.execute(_READ_ALL, {"consumer": consumer})
    return {(row.topic, row.partition): Position(row.next_offset, row.last_event_id) for row in rows}


async def begin(db: AsyncSession, consumer: str, place: Place, position: Position) -> None:
    """Store a first position; one that is there stays."""
    await db.execute(_BEGIN, _named(consumer, place, position))


async def restart(db: AsyncSession, consumer: str, place: Place, position: Position) -> None:
    """Store a position in place of any other."""
    await db.execute(_RESTART, _named(consumer, place, position))


async def advance(db: AsyncSession, consumer: str, place: Place, records: Sequence[Record], *, expected: int) -> None:
    """Move on behind these records. Raises Fenced when the stored offset is not ``expected``.

    The id is that of the very last record, or none, since the next start compares it with what the log holds there.
    """
    following = Position(records[-1].offset + 1, event_id_of(records[-1]))
    if not await _ADVANCE.rows(db, **_named(consumer, place, following), expected=expected):
        raise Fenced


def _named(consumer: str, place: Place, position: Position | None = None) -> dict[str, str | int | UUID | None]:
    named: dict[str, str | int | UUID | None] = {"consumer": consumer, "topic": place[0], "partition": place[1]}
    if position is not None:
        named |= {"next_offset": position.next_offset, "last_event_id": position.last_event_id}
    return named


_READ = text(
    """
    SELECT next_offset, last_event_id FROM platform.consumer_offset
    WHERE consumer = :consumer AND topic = :topic AND partition = :partition
    """
)
_READ_ALL = text("SELECT topic, partition, next_offset, last_event_id FROM platform.consumer_offset WHERE consumer = :consumer")
_BEGIN = text(
    """
    INSERT INTO platform.consumer_offset (consumer, topic, partition, next_offset, last_event_id)
    VALUES (:consumer, :topic, :partition, :next_offset, :last_event_id) ON CONFLICT DO NOTHING
    """
)
_RESTART = text(
    """
    INSERT INTO platform.consumer_offset (consumer, topic, partition, next_offset, last_event_id)
    VALUES (:consumer, :topic, :partition, :next_offset, :last_event_id)
    ON CONFLICT (consumer, topic, partition)
    DO UPDATE SET next_offset = EXCLUDED.next_offset, last_event_id = EXCLUDED.last_event_id, noted_offset = NULL, updated_at = now()
    """
)
_ADVANCE = Statement(
    """
    UPDATE platform.consumer_offset SET next_offset = :next_offset, last_event_id = :last_event_id, updated_at = now(),
        noted_offset = :next_offset, unbroken_since = CASE WHEN noted_offset = next_offset THEN unbroken_since ELSE now() END
    WHERE consumer = :consumer AND topic = :topic AND partition = :partition AND next_offset = :expected
    RETURNING next_offset
    """
)
