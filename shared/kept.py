"""A producer's event log read as a bus would be: what was told of a topic, partition by partition, by sequence number."""

from datetime import datetime

from sqlalchemy import text

from shared.bus import Outgoing, Place, Record, Reread
from shared.db import Database
from shared.outbox import KEPT, outgoing_of


def record_of(outgoing: Outgoing) -> Record:
    """An event on its way out as a consumer of the local bus receives it."""
    return Record(outgoing.topic, outgoing.partition, outgoing.seq, outgoing.key, outgoing.value, outgoing.headers)


async def reached(producer: Database, place: Place) -> int:
    """The first number that not everybody has: of the oldest event that waits, or the one to come."""
    async with producer.transaction() as db:
        number: int = (await db.execute(_REACHED, _named(place))).scalar_one()
    return number


async def number_at(producer: Database, place: Place, moment: datetime) -> int:
    """The number of the first event recorded at or after a moment, or the one to come."""
    async with producer.transaction() as db:
        number: int = (await db.execute(_NUMBER_AT, {**_named(place), "moment": moment})).scalar_one()
    return number


async def again(producer: Database, place: Place, from_seq: int, to_seq: int, *, limit: int) -> Reread:
    """Events of a range, in order."""
    named = {**_named(place), "from_seq": from_seq, "to_seq": to_seq, "limit": limit}
    async with producer.transaction() as db:
        rows = (await db.execute(_RANGE, named)).mappings().all()
    records = [record_of(outgoing_of(row, source=f"/{producer.name}")) for row in rows]
    return Reread(records, records[-1].offset + 1 if len(records) == limit else max(from_seq, to_seq))


def _named(place: Place) -> dict[str, object]:
    return {"topic": place[0], "partition": place[1]}


_REACHED = text(
    """
    SELECT coalesce((SELECT min(seq) FROM platform.outbox_pending WHERE partition = :partition),
                    (SELECT coalesce(max(seq), 0) + 1 FROM platform.event_log))
    """
)
_NUMBER_AT = text(
    """
    SELECT coalesce(min(seq), (SELECT coalesce(max(seq), 0) + 1 FROM platform.event_log)) FROM (
        SELECT seq FROM platform.event_log WHERE recorded_at >= :moment AND topic = :topic AND partition = :partition OFFSET 0
    ) AS since
    """
)
_RANGE = text(
    f"""
    SELECT {KEPT} FROM platform.event_log l
    WHERE topic = :topic AND partition = :partition AND seq >= :from_seq AND seq < :to_seq ORDER BY seq LIMIT :limit
    """  # noqa: S608 - a constant of ours
)
