"""What a consumer has seen: ids with what they said, the newest number of each key, and how many of a key came within a minute.

The number of a key moves on as long as none is missing; the first that is seen of a key is taken as it is. One that is not above the
newest is no gap: after a restore a producer counts again from its backup, and what is told again has numbers of the past.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import Record, content_of, sequence_of
from shared.parking import key_of

KeyOfTopic = tuple[str, str]


@dataclass(slots=True)
class Seen:
    """What a claim found out."""

    new: set[UUID] = field(default_factory=set)
    """Ids that had not been there."""
    told_otherwise: set[tuple[UUID, bytes]] = field(default_factory=set)
    """Ids that had been there with other content than this."""
    reached: dict[KeyOfTopic, int] = field(default_factory=dict)
    """The newest number up to which none is missing, of keys that something new was seen of."""
    in_minute: dict[KeyOfTopic, int] = field(default_factory=dict)
    """How many new events of a key have come within this minute, with these."""


def number_of(record: Record) -> tuple[KeyOfTopic, int] | None:
    """A record's key with its number, where both can be read."""
    key, sequence = key_of(record), sequence_of(record)
    return None if key is None or sequence is None else ((record.topic, key), sequence)


async def claim(db: AsyncSession, consumer: str, records: Sequence[tuple[Record, UUID | None]]) -> Seen:
    """Take these records as seen, in one statement; an id is claimed of those that come with one."""
    seen = Seen()
    if not records:
        return seen
    numbers = [number_of(record) for record, _ in records]
    given = {
        "ids": [event_id for _, event_id in records],
        "contents": [content_of(record) for record, _ in records],
        "topics": [number[0][0] if number else None for number in numbers],
        "keys": [number[0][1] if number else None for number in numbers],
        "sequences": [number[1] if number else None for number in numbers],
    }
    for row in await db.execute(_CLAIM, {**given, "consumer": consumer}):
        if row.key is not None:
            seen.reached[row.topic, row.key], seen.in_minute[row.topic, row.key] = row.sequence, row.in_minute
        elif row.content is not None:
            seen.told_otherwise.add((row.event_id, row.content))
        else:
            seen.new.add(row.event_id)
    return seen


async def unbroken(db: AsyncSession, consumer: str, suspects: Collection[tuple[KeyOfTopic, int]]) -> set[KeyOfTopic]:
    """Those of these keys, each with its partition, that have been watched without a break since their newest number was noted.

    A release that does not count handles events as well while both run: it leaves rows without content, and does not move
    ``noted_offset``. So do a person who moved the position, and a first start.
    """
    given = {
        "topics": [topic for (topic, _), _ in suspects],
        "keys": [key for (_, key), _ in suspects],
        "partitions": [partition for _, partition in suspects],
    }
    return {(row.topic, row.key) for row in await db.execute(_UNBROKEN, {**given, "consumer": consumer})}


async def note(db: AsyncSession, consumer: str, records: Sequence[Record]) -> None:
    """These were handled or accepted as they are: what is missing before them is not waited for any more."""
    newest: dict[KeyOfTopic, int] = {}
    for number in filter(None, map(number_of, records)):
        newest[number[0]] = max(newest.get(number[0], 0), number[1])
    if newest:
        named = sorted(newest)
        given = {"topics": [topic for topic, _ in named], "keys": [key for _, key in named], "sequences": [newest[one] for one in named]}
        await db.execute(_NOTE, {**given, "consumer": consumer})


_CLAIM = text(
    """
    WITH given AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:contents AS bytea[]), CAST(:topics AS text[]), CAST(:keys AS text[]),
                             CAST(:sequences AS bigint[])) AS g(event_id, content, topic, key, sequence)
    ), claimed AS (
        INSERT INTO platform.inbox (consumer, event_id, content)
        SELECT :consumer, event_id, content FROM given WHERE event_id IS NOT NULL ORDER BY event_id
        ON CONFLICT DO NOTHING RETURNING event_id
    ), known AS (
        SELECT told.topic, told.key, told.fresh, k.sequence FROM (
            SELECT g.topic, g.key, count(DISTINCT c.event_id) AS fresh FROM given g LEFT JOIN claimed c USING (event_id)
            WHERE g.key IS NOT NULL GROUP BY g.topic, g.key
        ) AS told
        LEFT JOIN LATERAL (
            SELECT sequence FROM platform.key_seen WHERE consumer = :consumer AND topic = told.topic AND key = told.key OFFSET 0
        ) AS k ON true
    ), ahead AS (
        SELECT topic, key, base, sequence, sequence - row_number() OVER (PARTITION BY topic, key ORDER BY sequence) AS island FROM (
            SELECT DISTINCT g.topic, g.key, g.sequence,
                   coalesce(k.sequence, min(g.sequence) OVER (PARTITION BY g.topic, g.key) - 1) AS base
            FROM given g JOIN known k USING (topic, key) WHERE g.sequence > coalesce(k.sequence, 0)
        ) AS one
    ), noted AS (
        INSERT INTO platform.key_seen AS seen (consumer, topic, key, sequence, in_minute)
        SELECT :consumer, k.topic, k.key, coalesce(max(a.sequence) FILTER (WHERE a.island = a.base), max(a.base), k.sequence, 0), k.fresh
        FROM known k LEFT JOIN ahead a USING (topic, key)
        GROUP BY k.topic, k.key, k.sequence, k.fresh HAVING k.fresh > 0 OR count(a.sequence) > 0 ORDER BY k.topic, k.key
        ON CONFLICT (consumer, topic, key) DO UPDATE
        SET sequence = greatest(seen.sequence, EXCLUDED.sequence),
            noted_at = CASE WHEN EXCLUDED.sequence > seen.sequence THEN now() ELSE seen.noted_at END,
            minute_began_at = CASE WHEN seen.minute_began_at < now() - interval '1 minute' THEN now() ELSE seen.minute_began_at END,
            in_minute = EXCLUDED.in_minute
                + CASE WHEN seen.minute_began_at < now() - interval '1 minute' THEN 0 ELSE seen.in_minute END
        RETURNING topic, key, sequence, in_minute
    )
    SELECT event_id, NULL::bytea AS content, NULL::text AS topic, NULL::text AS key, NULL::bigint AS sequence, 0 AS in_minute FROM claimed
    UNION ALL
    SELECT g.event_id, g.content, NULL, NULL, NULL, 0 FROM given g CROSS JOIN LATERAL (
        SELECT content FROM platform.inbox WHERE consumer = :consumer AND event_id = g.event_id OFFSET 0
    ) AS before WHERE before.content <> g.content
    UNION ALL
    SELECT NULL, NULL, topic, key, sequence, in_minute FROM noted
    """
)
_UNBROKEN = text(
    """
    SELECT k.topic, k.key FROM platform.key_seen k
    JOIN unnest(CAST(:topics AS text[]), CAST(:keys AS text[]), CAST(:partitions AS int[])) AS s(topic, key, partition)
      ON k.topic = s.topic AND k.key = s.key
    WHERE k.consumer = :consumer AND NOT EXISTS (
        SELECT FROM platform.inbox i WHERE i.consumer = :consumer AND i.content IS NULL AND i.processed_at > k.noted_at
    ) AND NOT EXISTS (
        SELECT FROM platform.consumer_offset o
        WHERE o.consumer = :consumer AND o.topic = s.topic AND o.partition = s.partition AND k.noted_at < now()
          AND (o.noted_offset IS DISTINCT FROM o.next_offset OR k.noted_at < o.unbroken_since)
    )
    """
)
_NOTE = text(
    """
    INSERT INTO platform.key_seen AS seen (consumer, topic, key, sequence, in_minute)
    SELECT :consumer, topic, key, sequence, 0
    FROM unnest(CAST(:topics AS text[]), CAST(:keys AS text[]), CAST(:sequences AS bigint[])) AS n(topic, key, sequence)
    ON CONFLICT (consumer, topic, key) DO UPDATE SET sequence = EXCLUDED.sequence, noted_at = now()
    WHERE seen.sequence < EXCLUDED.sequence
    """
)
