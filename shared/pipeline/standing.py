"""How a consumer stands: its stored positions beside what the bus holds."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text

from shared.bus import Bus, BusUnavailable, Outlook, Place
from shared.inbox import Inbox
from shared.offsets import WHOLE_TOPIC
from shared.pipeline.schemas import ConsumerOut, PartitionOut, PartitionState


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored position, and when it last moved."""

    next_offset: int
    moved_at: datetime


class Look:
    """Looks for all who ask at once: however many they are, the bus is asked by one, with one connection to the database."""

    def __init__(self, inbox: Inbox, bus: Bus) -> None:
        self._inbox = inbox
        self._bus = bus
        self._under_way: asyncio.Task[ConsumerOut] | None = None

    async def shared(self) -> ConsumerOut:
        """What the look that is under way finds, or one that begins now. Raises Unavailable when the database is away."""
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.create_task(standing(self._inbox, self._bus))
        return await asyncio.shield(self._under_way)


async def standing(inbox: Inbox, bus: Bus) -> ConsumerOut:
    """The consumer's partitions, from the database and the bus."""
    stored = await positions(inbox)
    try:
        outlook = await bus.outlook(inbox, {place: position.next_offset for place, position in stored.items()})
        lag = None if outlook else sum(one.records for one in await bus.lags(inbox))
    except BusUnavailable:
        return ConsumerOut(name=inbox.consumer, bus_answers=False, lag=None, oldest_seconds=None, partitions=[])
    partitions = [partition_of(place, outlook[place], stored.get(place)) for place in sorted(outlook)]
    ages = [one.oldest_seconds for one in partitions if one.oldest_seconds is not None]
    return ConsumerOut(
        name=inbox.consumer,
        bus_answers=True,
        lag=sum(one.lag for one in partitions) if lag is None else lag,
        oldest_seconds=max(ages, default=None),
        partitions=partitions,
    )


async def positions(inbox: Inbox) -> Mapping[Place, Stored]:
    """Every stored position of a consumer."""
    async with inbox.database.transaction() as db:
        rows = (await db.execute(_POSITIONS, {"consumer": inbox.consumer})).all()
    return {(row.topic, row.partition): Stored(row.next_offset, row.updated_at) for row in rows}


def partition_of(place: Place, seen: Outlook, stored: Stored | None) -> PartitionOut:
    """One partition, judged."""
    next_offset = stored.next_offset if stored else None
    in_log = next_offset is not None and seen.first_offset <= next_offset <= seen.end_offset
    lag = seen.end_offset - (next_offset if next_offset is not None and in_log else seen.first_offset)
    age = (datetime.now(UTC) - seen.waiting_since).total_seconds() if seen.waiting_since and lag else None
    return PartitionOut(
        topic=place[0],
        partition=place[1],
        state=_state(seen, next_offset, lag),
        next_offset=next_offset,
        first_offset=seen.first_offset,
        end_offset=seen.end_offset,
        lag=lag,
        oldest_seconds=max(age, 0.0) if age is not None else None,
        moved_at=stored.moved_at if stored else None,
    )


def _state(seen: Outlook, next_offset: int | None, lag: int) -> PartitionState:
    if next_offset is not None and next_offset < seen.first_offset:
        return PartitionState.RETENTION_LOSS
    if next_offset is not None and next_offset > seen.end_offset:
        return PartitionState.ANOTHER_LOG
    return PartitionState.BEHIND if lag else PartitionState.CAUGHT_UP


_POSITIONS = text(
    f"""
    SELECT topic, partition, next_offset, updated_at FROM platform.consumer_offset
    WHERE consumer = :consumer AND partition <> {WHOLE_TOPIC}
    """  # noqa: S608 - a constant of ours
)
