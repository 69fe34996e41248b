"""The floor: bare loops over asyncpg and aiokafka that send the product's statements and records, and do nothing else.

No HTTP, no token, no validation, no ORM, no decision. The writer and its relay run in the process that drives the load, the
consumer in a process of its own: ``python -m tests.benchmarks.floor`` takes its instructions as a pickle on standard input.
"""

import asyncio
import pickle
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from sqlalchemy import make_url

from shared.bus import PARTITIONS
from shared.outbox import BATCH, IN_VIEW, SELECT_PENDING, SETTLE, outgoing_of
from tests.benchmarks.ground import Ground, Waiting
from tests.benchmarks.recording import SIZES, Recording, Recordings
from tests.benchmarks.replay import Template

_WRITERS = 8
"""Connections, as many as the product's pool has."""
_HANDLERS = 4
"""Transactions of the consumer at a time: as many as it gains from. The product has two, since its own processor time is what counts."""
_IDS = re.compile(rb'"(infusion_id|patient_id|course_id)":"([0-9a-f-]{36})"')


class Writer:
    """Completes infusions by replaying what sessions does, and relays their events."""

    def __init__(self, ground: Ground, recording: Recording, pool: Any, producer: AIOKafkaProducer) -> None:  # Any: asyncpg's generic
        self._template = Template(recording, ground.constants)
        self._pool = pool
        self._producer = producer
        self._wake = asyncio.Event()

    async def complete(self, waiting: Waiting) -> bool:
        """One completion."""
        async with self._pool.acquire() as connection:
            await self._template.send(connection, waiting.ids)
        self._wake.set()
        return True

    async def relay(self, connection: Any) -> None:  # Any: as above
        """What is pending goes to Kafka, one batch outstanding for each partition, and is then pending no more."""
        while True:
            self._wake.clear()
            rows = await connection.fetch(SELECT_PENDING, [], BATCH, IN_VIEW)
            if rows:
                outgoing = sorted((outgoing_of(row, source="/sessions") for row in rows), key=lambda one: one.partition)
                await asyncio.gather(
                    *(self._publish(number, list(lane)) for number, lane in groupby(outgoing, key=lambda one: one.partition))
                )
                await connection.execute(SETTLE, [one.seq for one in outgoing])
            if len(rows) < BATCH:
                await self._wake.wait()

    async def _publish(self, partition: int, lane: Sequence[Any]) -> None:  # Any: Outgoing
        batch = self._producer.create_batch()
        for one in lane:
            batch.append(key=one.key, value=one.value, timestamp=None, headers=list(one.headers))
        await (await self._producer.send_batch(batch, "sessions.events", partition=partition))


@dataclass(frozen=True)
class Instructions:
    """What the consumer's process needs to know."""

    dsn: str
    bootstrap: str
    follow_ups: dict[int, Recording]
    constants: set[UUID]


@asynccontextmanager
async def writer(ground: Ground, recordings: Recordings) -> AsyncIterator[Writer]:
    """The writing half."""
    dsn = _dsn(ground.installation.urls["sessions"])
    producer = AIOKafkaProducer(
        bootstrap_servers=ground.installation.broker.bootstrap, acks="all", enable_idempotence=True, linger_ms=0, max_batch_size=1 << 20
    )
    async with asyncpg.create_pool(dsn, min_size=_WRITERS, max_size=_WRITERS) as pool:
        connection = await asyncpg.connect(dsn)
        await producer.start()
        work = Writer(ground, recordings.completion, pool, producer)
        relay = asyncio.create_task(work.relay(connection))
        try:
            yield work
        finally:
            relay.cancel()
            await asyncio.wait({relay})
            await producer.stop()
            await connection.close()


@asynccontextmanager
async def consumer(ground: Ground, recordings: Recordings) -> AsyncIterator[int]:
    """The reading half, in a process of its own; gives its number."""
    installation = ground.installation
    instructions = Instructions(
        _dsn(installation.urls["followup"]), installation.broker.bootstrap, dict(recordings.follow_ups), ground.constants
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.floor", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(pickle.dumps(instructions))
        process.stdin.write_eof()
        assert await process.stdout.readline() == b"ready\n", "the floor's consumer did not start"
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


def _dsn(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


async def _consume(instructions: Instructions) -> None:
    templates = {size: Template(recording, instructions.constants) for size, recording in instructions.follow_ups.items()}
    sizes = sorted(templates, reverse=True)
    places = [TopicPartition("sessions.events", number) for number in range(PARTITIONS)]
    reader = AIOKafkaConsumer(bootstrap_servers=instructions.bootstrap, enable_auto_commit=False, fetch_max_wait_ms=200)
    async with asyncpg.create_pool(instructions.dsn, min_size=_HANDLERS, max_size=_HANDLERS) as pool:
        await reader.start()
        reader.assign(places)
        for row in await pool.fetch(
            "SELECT partition, next_offset FROM platform.consumer_offset WHERE consumer = 'followup' AND topic = $1", "sessions.events"
        ):
            if row["partition"] < PARTITIONS:
                reader.seek(places[row["partition"]], row["next_offset"])
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            batches = await reader.getmany(timeout_ms=200, max_records=500)
            await asyncio.gather(*(_handle(pool, templates, sizes, records) for records in batches.values()))


async def _handle(pool: Any, templates: dict[int, Template], sizes: list[int], records: list[Any]) -> None:  # Any: of two libraries
    waiting = [_ids_of(record) for record in records]
    place, offset = records[0].partition, records[0].offset
    while waiting:
        size = next(size for size in sizes if size <= _different(waiting))
        chunk, waiting = waiting[:size], waiting[size:]
        async with pool.acquire() as connection:
            await templates[size].send(connection, [place, offset, offset + size, *(id_ for ids in chunk for id_ in ids)])
        offset += size


def _ids_of(record: Any) -> list[UUID]:  # Any: as above
    found = {name: UUID(value.decode()) for name, value in _IDS.findall(record.value)}
    event_id = next(UUID(value.decode()) for name, value in record.headers if name == "ce_id")
    return [found[b"infusion_id"], found[b"patient_id"], found[b"course_id"], event_id]


def _different(waiting: Sequence[Sequence[UUID]]) -> int:
    """How many of the next events are about different patients: the product, too, takes a patient's second event after the first."""
    patients: set[UUID] = set()
    for _, patient_id, *_ in waiting[: max(SIZES)]:
        if patient_id in patients:
            break
        patients.add(patient_id)
    return len(patients)


if __name__ == "__main__":
    uvloop.run(_consume(pickle.load(sys.stdin.buffer)))  # noqa: S301 - from our own parent
