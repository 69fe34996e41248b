"""Parked records: what was set aside, taken up again in the order of its key, and the ways in which a record is settled."""

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Record
from shared.parked_reasons import NEVER_APPLIED, ParkedReason
from shared.parking import HOLDS_UP


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


async def next_of_key(db: AsyncSession, consumer: str, key: str) -> ParkedRecord | None:
    """The oldest parked record of a key that holds it up, locked, or None. What was set aside is never tried again, only discarded.

    What waits for one that is missing comes last, by its number.
    """
    await _wait_for_the_live(db, consumer, key)
    for statement in (_NEXT, _NEXT_GAP):
        row = (await db.execute(statement, {"consumer": consumer, "key": key, "limit": 1})).mappings().first()
        if row is not None:
            return ParkedRecord(**row)
    return None


async def flood_of_key(db: AsyncSession, consumer: str, key: str, limit: int) -> list[ParkedRecord]:
    """The oldest records of a key, locked, as far as they wait for nothing but their turn."""
    await _wait_for_the_live(db, consumer, key)
    rows = (await db.execute(_NEXT, {"consumer": consumer, "key": key, "limit": limit})).mappings().all()
    return list(takewhile(lambda record: record.reason == ParkedReason.FLOOD, (ParkedRecord(**row) for row in rows)))


async def after_gap_of_key(db: AsyncSession, consumer: str, key: str) -> ParkedRecord | None:
    """The first record of a key that nothing is missing before any more, locked, or None; nor while anything else holds it up."""
    await _wait_for_the_live(db, consumer, key)
    row = (await db.execute(_AFTER_GAP, {"consumer": consumer, "key": key})).mappings().first()
    return None if row is None else ParkedRecord(**row)


async def _wait_for_the_live(db: AsyncSession, consumer: str, key: str) -> None:
    """Lock a key in the order in which the live consumer does: first what was seen of it, then what is parked of it."""
    await db.execute(_LOCK_KEY, {"consumer": consumer, "key": key})


async def keys_to_take_up(db: AsyncSession, consumer: str, *, after: str, limit: int) -> list[str]:
    """Keys of a flood, and those with a gap that has closed, from behind ``after`` on."""
    return list(await db.scalars(_TO_TAKE_UP, {"consumer": consumer, "after": after, "limit": limit}))


async def keep(db: AsyncSession, parked_id: int, reason: ParkedReason, error_class: str) -> None:
    """Keep a record that failed again, with its fresh reason. One that is never applied holds nothing up any more."""
    given = {"parked_id": parked_id, "reason": reason.value, "error_class": error_class, "blocks_key": reason not in NEVER_APPLIED}
    await db.execute(_AGAIN, given)


async def settle_all(db: AsyncSession, parked_ids: Sequence[int], *, by: str) -> None:
    """Mark records as resolved, by whom."""
    await db.execute(_SETTLE_ALL, {"parked_ids": list(parked_ids), "by": by})


async def settle(db: AsyncSession, parked_id: int, *, state: str, by: str, why: str | None = None) -> None:
    """Mark a record as resolved or discarded, by whom and why."""
    await db.execute(_SETTLE, {"parked_id": parked_id, "state": state, "by": by, "why": why})


_FIELDS = 'parked_id, topic, partition, "offset", event_id, key, headers, value, reason'
_NEXT = text(f"SELECT {_FIELDS} FROM platform.parked WHERE {HOLDS_UP} AND key = :key ORDER BY parked_id LIMIT :limit FOR UPDATE")  # noqa: S608 - ours
_LOCK_KEY = text("SELECT FROM platform.key_seen WHERE consumer = :consumer AND key = :key ORDER BY topic FOR UPDATE")
_WAITS = "consumer = :consumer AND state = 'parked' AND reason = 'sequence-gap'"
_NEXT_GAP = text(
    f"SELECT {_FIELDS} FROM platform.parked WHERE {_WAITS} AND key = :key ORDER BY topic, sequence, parked_id LIMIT :limit FOR UPDATE"  # noqa: S608 - ours
)
_CLOSED = f"""
    EXISTS (
        SELECT FROM platform.key_seen s
        WHERE s.consumer = p.consumer AND s.topic = p.topic AND s.key = p.key AND p.sequence <= s.sequence + 1
    ) AND NOT EXISTS (
        SELECT FROM platform.parked h WHERE {HOLDS_UP} AND h.key = p.key AND (h.reason <> 'flood' OR h.topic = p.topic)
    )
"""  # noqa: S608 - conditions of our own
_AFTER_GAP = text(
    f"SELECT {_FIELDS} FROM platform.parked p WHERE {_WAITS} AND key = :key AND {_CLOSED} ORDER BY topic, sequence LIMIT 1 FOR UPDATE OF p"  # noqa: S608 - ours
)
_TO_TAKE_UP = text(
    f"""
    WITH RECURSIVE held_up AS (
        (SELECT key FROM platform.parked WHERE {HOLDS_UP} AND key > :after ORDER BY key LIMIT 1)
        UNION ALL
        SELECT (SELECT p.key FROM platform.parked p WHERE {HOLDS_UP} AND p.key > held_up.key ORDER BY p.key LIMIT 1)
        FROM held_up WHERE held_up.key IS NOT NULL
    ), waiting AS (
        (SELECT key FROM platform.parked WHERE {_WAITS} AND key > :after ORDER BY key LIMIT 1)
        UNION ALL
        SELECT (SELECT p.key FROM platform.parked p WHERE {_WAITS} AND p.key > waiting.key ORDER BY p.key LIMIT 1)
        FROM waiting WHERE waiting.key IS NOT NULL
    )
    SELECT key FROM held_up WHERE key IS NOT NULL AND 'flood' = (
        SELECT reason FROM platform.parked p WHERE {HOLDS_UP} AND p.key = held_up.key ORDER BY parked_id LIMIT 1
    )
    UNION
    SELECT key FROM waiting WHERE EXISTS (
        SELECT FROM platform.parked p WHERE {_WAITS} AND p.key = waiting.key AND {_CLOSED}
    )
    ORDER BY key LIMIT :limit
    """  # noqa: S608 - conditions of our own
)
_SETTLE_ALL = text(
    """
    UPDATE platform.parked SET state = 'resolved', settled_at = now(), settled_by = :by, settled_why = NULL
    WHERE parked_id = ANY(CAST(:parked_ids AS bigint[]))
    """
)
_SETTLE = text(
    "UPDATE platform.parked SET state = :state, settled_at = now(), settled_by = :by, settled_why = :why WHERE parked_id = :parked_id"
)
_AGAIN = text(
    """
    UPDATE platform.parked
    SET reason = :reason, error_class = :error_class, attempts = attempts + 1, blocks_key = blocks_key AND :blocks_key
    WHERE parked_id = :parked_id AND state = 'parked'
    """
)
