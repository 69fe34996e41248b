"""The bus of one process: the outbox is the durable queue, and a record counts as taken when every subscriber has committed it.

A crash anywhere means that the relay hands the record over again, and the inboxes absorb what they had handled before.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import text

from shared import kept, telemetry
from shared.bus import PARTITIONS, BusUnavailable, Lag, Outgoing, Outlook, Place, Position, Published, Record, Reread, Subscriber
from shared.db import Database, is_away
from shared.inbox import CHUNK
from shared.kept import record_of
from shared.offsets import WHOLE_TOPIC
from shared.outbox import KEPT, outgoing_of


class LocalBus:
    """Hands each record to every subscribing service's inbox, in order."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self._in_hand: Counter[_Lane] = Counter()
        self._positions: dict[_Lane, int] = {}
        self._producers: dict[str, Database] = {}
        self._log = telemetry.logger("local-bus")

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    async def publish(self, batch: Sequence[Outgoing]) -> Published:
        published = Published()
        chunks = [batch[start : start + CHUNK] for start in range(0, len(batch), CHUNK)]
        waiting = Counter(lane for subscriber in self._subscribers for lane in _lanes(subscriber, batch))
        self._in_hand.update(waiting)
        try:
            for chunk in chunks:
                if published.failed_partitions or not await self._delivered(chunk, waiting):
                    published.failed_partitions |= {outgoing.partition for outgoing in chunk}
                else:
                    published.taken += [outgoing.seq for outgoing in chunk]
        finally:
            self._in_hand.subtract(waiting)
        return published

    async def _delivered(self, chunk: Sequence[Outgoing], waiting: Counter["_Lane"]) -> bool:
        """Whether every subscriber has committed the chunk. One that has not gets it again from the outbox."""
        for subscriber in self._subscribers:
            records = [record_of(outgoing) for outgoing in chunk if outgoing.topic in subscriber.topics]
            if not records:
                continue
            try:
                await subscriber.handle(records)
            except Exception as error:  # noqa: BLE001 - a consumer's loop: it must survive and say so
                self._say(subscriber, error, records[0])
                return False
            done = Counter(_lanes(subscriber, chunk))
            waiting.subtract(done)
            self._in_hand.subtract(done)
            self._positions |= {(subscriber.consumer, record.topic, record.partition): record.offset + 1 for record in records}
        return True

    def _say(self, subscriber: Subscriber, error: Exception, record: Record) -> None:
        name = type(error).__name__
        if is_away(error):
            self._log.warning("local_bus.subscriber_away", consumer=subscriber.consumer, error_class=name)
        else:
            place = telemetry.place_of(error)
            self._log.error("local_bus.not_handled", consumer=subscriber.consumer, error_class=name, error_place=place)
            subscriber.alarm("not-handled", record.topic, record.partition)

    async def consume(self, subscriber: Subscriber, stop: asyncio.Event) -> None:
        await stop.wait()

    async def lags(self, subscriber: Subscriber) -> list[Lag]:
        lanes = [(subscriber.consumer, topic, partition) for topic in subscriber.topics for partition in range(PARTITIONS)]
        return [Lag(lane[1], lane[2], self._positions.get(lane, 0), self._in_hand[lane]) for lane in lanes]

    async def outlook(self, subscriber: Subscriber, positions: Mapping[Place, int]) -> dict[Place, Outlook]:
        return {}

    async def reached(self, subscriber: Subscriber, place: Place) -> int:
        return await kept.reached(self._producer(place), place)

    async def offset_at(self, place: Place, moment: datetime) -> int:
        return await kept.number_at(self._producer(place), place, moment)

    async def again(self, place: Place, from_offset: int, to_offset: int, *, limit: int) -> Reread:
        return await kept.again(self._producer(place), place, from_offset, to_offset, limit=limit)

    def _producer(self, place: Place) -> Database:
        """Where a topic's events are kept."""
        if place[0] not in self._producers:
            raise BusUnavailable("nobody tells of this topic here")
        return self._producers[place[0]]

    def queued(self, subscriber: Subscriber) -> int:
        return sum(records for lane, records in self._in_hand.items() if lane[0] == subscriber.consumer)

    async def close(self) -> None:
        return None

    async def catch_up(self, producer: Database, topic: str) -> None:
        """Show a topic's history to subscribers that have never seen it, before anything new is relayed; it can be read again later."""
        self._producers[topic] = producer
        for subscriber in self._subscribers:
            if topic in subscriber.topics and await subscriber.position(topic, WHOLE_TOPIC) is None:
                await replay(producer, subscriber, topic)
                await subscriber.start_at(topic, WHOLE_TOPIC, Position(0))


async def replay(producer: Database, subscriber: Subscriber, topic: str, *, after_seq: int = 0, batch: int = 500) -> int:
    """Hand a producer's kept events to one subscriber again, oldest first; returns how many. The inbox skips what it had.

    It ends with what is there now: an event that is committed later than a page was read must not come behind a later one of its key.
    """
    count = 0
    async with producer.transaction() as db:
        last = (await db.execute(_LAST, {"topic": topic})).scalar_one()
    while True:
        async with producer.transaction() as db:
            rows = (await db.execute(_HISTORY, {"topic": topic, "after": after_seq, "last": last, "batch": batch})).mappings().all()
        if not rows:
            return count
        records = [record_of(outgoing_of(row, source=f"/{producer.name}")) for row in rows]
        for start in range(0, len(records), CHUNK):
            await subscriber.handle(records[start : start + CHUNK])
        count += len(rows)
        after_seq = rows[-1]["seq"]


_Lane = tuple[str, str, int]
"""A consumer, a topic, a partition."""


def _lanes(subscriber: Subscriber, batch: Sequence[Outgoing]) -> list[_Lane]:
    return [(subscriber.consumer, outgoing.topic, outgoing.partition) for outgoing in batch if outgoing.topic in subscriber.topics]


_LAST = text("SELECT coalesce(max(seq), 0) FROM platform.event_log WHERE topic = :topic")
_HISTORY = text(
    f"""
    SELECT {KEPT} FROM platform.event_log l WHERE topic = :topic AND seq > :after AND seq <= :last ORDER BY seq LIMIT :batch
    """  # noqa: S608 - a constant of ours
)
