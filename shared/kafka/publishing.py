"""Producing: one idempotent producer, thrown away at the first sign of trouble."""

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError

from shared import telemetry
from shared.bus import BusUnavailable, Outgoing, Published
from shared.kafka.settings import MAX_BATCH_BYTES, KafkaSettings

_TOO_LARGE = (MessageSizeTooLargeError, RecordTooLargeError)
_TROUBLE = (KafkaError, OSError, TimeoutError)


class Publisher:
    """Publishes batches, one outstanding per partition, and tells for each record whether the broker has it."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._log = telemetry.logger("kafka", service=settings.client_id)
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, batch: Sequence[Outgoing]) -> Published:
        """Hand over a batch. Raises BusUnavailable when the cluster cannot be reached at all."""
        producer = await self._ready()
        published = Published()
        too_large: list[list[Outgoing]] = []
        lanes = [list(rows) for _, rows in groupby(sorted(batch, key=_place), key=_place)]
        try:
            await asyncio.gather(*(self._publish_lane(producer, lane, published, too_large) for lane in lanes))
        except BaseException:  # also when called off: what is still on its way must not arrive after a later batch
            await self._abandon()
            raise
        if published.failed_partitions:
            await self._abandon()
        for refused in too_large:
            await self._publish_singly(refused, published)
        return published

    async def _publish_lane(
        self, producer: AIOKafkaProducer, lane: list[Outgoing], published: Published, too_large: list[list[Outgoing]]
    ) -> None:
        """One partition's records. One batch is outstanding at a time, so "what failed first" is never in doubt."""
        waiting = deque(lane)
        while waiting:
            batch = producer.create_batch()
            filled = _fill(batch, waiting)
            try:
                await self._send(producer, batch, filled[0])
            except _TOO_LARGE:
                too_large.append(filled)
                published.failed_partitions.add(lane[0].partition)
                return
            except _TROUBLE as error:
                self._failed(lane[0], error, published)
                return
            published.taken += [outgoing.seq for outgoing in filled]

    async def _publish_singly(self, refused: list[Outgoing], published: Published) -> None:
        """The broker refused a batch for its size: send its records one at a time to find which one it is, up to the first failure."""
        for outgoing in refused:
            producer = await self._ready()
            batch = producer.create_batch()
            _append(batch, outgoing)
            try:
                await self._send(producer, batch, outgoing)
                published.taken.append(outgoing.seq)
            except _TOO_LARGE as error:
                published.refused[outgoing.seq] = type(error).__name__
                await self._abandon()
            except _TROUBLE as error:
                self._failed(outgoing, error, published)
                await self._abandon()
                return

    async def _send(self, producer: AIOKafkaProducer, batch: Any, first: Outgoing) -> None:  # Any: aiokafka's BatchBuilder is not exported
        async with asyncio.timeout(self._settings.request_seconds):
            acknowledged = await producer.send_batch(batch, self._settings.namespace + first.topic, partition=first.partition)
            await acknowledged

    def _failed(self, first: Outgoing, error: Exception, published: Published) -> None:
        self._log.warning("kafka.batch_failed", partition=first.partition, topic=first.topic, error_class=type(error).__name__)
        published.failed_partitions.add(first.partition)

    async def _ready(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        producer = AIOKafkaProducer(
            **self._settings.connection(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=2 * MAX_BATCH_BYTES,
            linger_ms=0,
        )
        try:
            async with asyncio.timeout(self._settings.request_seconds):
                await producer.start()
        except _TROUBLE as error:
            await _abandon(producer)
            raise BusUnavailable(type(error).__name__) from error
        self._producer = producer
        return producer

    async def _abandon(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _abandon(producer)

    async def close(self) -> None:
        """Let go of the connections, with patience for what is on its way."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(5):
                await producer.stop()
        except _TROUBLE:
            await _abandon(producer)


def _fill(batch: Any, waiting: deque[Outgoing]) -> list[Outgoing]:  # Any: as in _send
    filled = []
    while waiting and _append(batch, waiting[0]):
        filled.append(waiting.popleft())
    return filled


def _append(batch: Any, outgoing: Outgoing) -> bool:  # Any: as in _send
    """Whether the record still fitted; the first one of a batch always does."""
    added = batch.append(key=outgoing.key, value=outgoing.value, timestamp=None, headers=list(outgoing.headers))
    return added is not None


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Stop a producer without waiting for its batches: its ``stop`` would wait for ever, and publish them later."""
    # There is no public way to do this; the names are those of aiokafka 0.14, and the contract suite fails when they change.
    producer._closed = True  # noqa: SLF001
    task = producer._sender.sender_task  # noqa: SLF001
    if task is not None:
        task.cancel()
        await asyncio.wait([task], timeout=1)
    try:
        async with asyncio.timeout(2):
            await producer.client.close()
    except _TROUBLE:
        return


def _place(outgoing: Outgoing) -> tuple[str, int]:
    return outgoing.topic, outgoing.partition
