"""Reading topics beside the group: for people who look after the pipeline. Nobody's position moves by it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.bus import PARTITIONS, BusUnavailable, Outlook, Place, Record, Reread
from shared.kafka.settings import MAX_BATCH_BYTES, KafkaSettings

_FIRST_RECORD_SECONDS = 2.0


async def outlook(settings: KafkaSettings, topics: Sequence[str], positions: Mapping[Place, int]) -> dict[Place, Outlook]:
    """What every partition of these topics holds, and since when its next record waits. Raises BusUnavailable."""
    places = {(topic, number): TopicPartition(settings.namespace + topic, number) for topic in topics for number in range(PARTITIONS)}
    async with reader(settings) as consumer:
        first = await consumer.beginning_offsets(list(places.values()))
        end = await consumer.end_offsets(list(places.values()))
        wanted = {place: max(positions.get(place, 0), first[at]) for place, at in places.items()}
        waiting = {places[place]: offset for place, offset in wanted.items() if offset < end[places[place]]}
        since = await _written_at(consumer, waiting) if waiting else {}
    return {place: Outlook(first[at], end[at], since.get(at)) for place, at in places.items()}


async def offset_at(settings: KafkaSettings, place: Place, moment: datetime) -> int:
    """The first offset written at or after a moment, or the end. Raises BusUnavailable."""
    at = TopicPartition(settings.namespace + place[0], place[1])
    async with reader(settings) as consumer:
        found = (await consumer.offsets_for_times({at: max(int(moment.timestamp() * 1000), 0)}))[at]
        offset: int = found.offset if found is not None else (await consumer.end_offsets([at]))[at]
    return offset


async def again(settings: KafkaSettings, place: Place, from_offset: int, to_offset: int, *, limit: int) -> Reread:
    """Records of a range as far as they are still there; at most about ``limit``. Raises BusUnavailable."""
    at = TopicPartition(settings.namespace + place[0], place[1])
    records: list[Record] = []
    async with reader(settings) as consumer:
        first, end = (await consumer.beginning_offsets([at]))[at], (await consumer.end_offsets([at]))[at]
        last = min(to_offset, end)
        position = max(from_offset, first)
        if position < last:
            consumer.assign([at])
            consumer.seek(at, position)
        while position < last and len(records) < limit:
            for found in (await consumer.getmany(at, timeout_ms=500, max_records=limit - len(records))).values():
                records += [record_of(one, place[0]) for one in found if one.offset < last]
            position = await consumer.position(at)
    return Reread(records, max(min(position, to_offset) if position < last else to_offset, from_offset))


def record_of(record: Any, topic: str) -> Record:  # Any: aiokafka's ConsumerRecord
    """A record as the services know it, without the installation's namespace."""
    headers = tuple((name, value or b"") for name, value in record.headers)
    written_at = record.timestamp / 1000 if record.timestamp and record.timestamp > 0 else None
    return Record(topic, record.partition, record.offset, record.key, record.value, headers, written_at)


@asynccontextmanager
async def reader(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A client that belongs to no group and stores nothing. Whatever goes wrong inside is BusUnavailable."""
    consumer = AIOKafkaConsumer(
        **settings.connection(),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        fetch_max_wait_ms=200,
        max_partition_fetch_bytes=2 * MAX_BATCH_BYTES,
    )
    try:
        async with asyncio.timeout(settings.request_seconds):
            await consumer.start()
            yield consumer
    except (KafkaError, OSError, TimeoutError) as error:
        raise BusUnavailable(type(error).__name__) from error
    finally:
        await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)


async def _written_at(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, datetime]:
    """When the first record at or after each offset was written, of those that come within two seconds."""
    consumer.assign(list(offsets))
    for place, offset in offsets.items():
        consumer.seek(place, offset)
    found: dict[TopicPartition, datetime] = {}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _FIRST_RECORD_SECONDS
    while len(found) < len(offsets) and loop.time() < deadline:
        for place, records in (await consumer.getmany(timeout_ms=200)).items():
            found.setdefault(place, datetime.fromtimestamp(records[0].timestamp / 1000, UTC))
            consumer.pause(place)
    return found
