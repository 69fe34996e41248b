"""One member of a consumer group: joins, feeds its partitions, and joins again when anything goes wrong."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared import telemetry
from shared.bus import BusUnavailable, Lag, Position, Subscriber
from shared.kafka.assigning import assignor
from shared.kafka.looking import record_of
from shared.kafka.partition import Partition
from shared.kafka.settings import MAX_BATCH_BYTES, KafkaSettings
from shared.kafka.starting import Home
from shared.pausing import pause

_RELEASE_SECONDS = 20.0
_COMMIT_SECONDS = 2.0
_REJOIN_SECONDS = 1.0
_METADATA_SECONDS = 5
"""A topic that was deleted and made anew is found again this soon; the client's own 5 minutes leave it unread for so long."""


class Consuming:
    """A subscriber's membership in its group."""

    partition_type = Partition
    stall_seconds = 15.0

    def __init__(self, settings: KafkaSettings, subscriber: Subscriber) -> None:
        self._settings = settings
        self._subscriber = subscriber
        self._log = telemetry.logger("kafka-consumer", consumer=subscriber.consumer)
        self._rejoin = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: dict[TopicPartition, Partition] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Be a member of the group until ``stop``; a member that cannot go on leaves and joins again."""
        while not stop.is_set():
            self._rejoin.clear()
            consumer = self._new_consumer()
            listener = _Listener(self, consumer)
            consumer.subscribe(topics=[self._settings.namespace + topic for topic in self._subscriber.topics], listener=listener)
            try:
                await consumer.start()
                self._consumer = consumer
                self._log.info("kafka.joined")
                await self._poll(consumer, stop)
            except Exception as error:  # noqa: BLE001 - a consumer's loop: it must survive and say so
                expected = isinstance(error, KafkaError | OSError | TimeoutError)
                say = self._log.warning if expected else self._log.error
                say("kafka.consumer_failed", error_class=type(error).__name__, error_place=telemetry.place_of(error))
            finally:
                self._consumer = None
                listener.leaving = True
                await self.release(list(self._partitions))
                await _leave(consumer)
            await pause(stop, _REJOIN_SECONDS)

    def _new_consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._settings.connection(),
            group_id=self._settings.namespace + self._subscriber.consumer,
            group_instance_id=self._settings.instance_id or None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            session_timeout_ms=self._settings.session_timeout_ms,
            heartbeat_interval_ms=max(self._settings.session_timeout_ms // 5, 500),
            rebalance_timeout_ms=60_000,
            max_poll_interval_ms=300_000,
            max_poll_records=500,
            # One fetch is under way at a time: a partition that is resumed or sought waits for the last one to come back.
            fetch_max_wait_ms=200,
            metadata_max_age_ms=_METADATA_SECONDS * 1000,
            max_partition_fetch_bytes=2 * MAX_BATCH_BYTES,
            partition_assignment_strategy=(assignor(),),
        )

    async def _poll(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        beside = [asyncio.create_task(self._commit_hints(consumer)), asyncio.create_task(self._watch_for_stalls(consumer))]
        try:
            while not stop.is_set() and not self._rejoin.is_set():
                try:
                    # Never cancelled and never under a timeout: the client would count this call as unfinished for ever.
                    batches = await consumer.getmany(timeout_ms=200)
                except NoOffsetForPartitionError:
                    await asyncio.sleep(0.1)
                    continue
                except OffsetOutOfRangeError as error:
                    self._out_of_range(error)
                    continue
                for place, records in batches.items():
                    self._offer(place, records)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)

    def _offer(self, place: TopicPartition, records: Sequence[Any]) -> None:  # Any: aiokafka's ConsumerRecord
        partition = self._partitions.get(place)
        if partition is not None and partition.ready:
            partition.offer([record_of(record, self._topic_of(record.topic)) for record in records])

    def _out_of_range(self, error: OffsetOutOfRangeError) -> None:
        """Records at our offset were deleted, or the log is shorter than what we have read: look at the bounds again."""
        offsets: Mapping[TopicPartition, int] = error.args[0]
        for place in offsets:
            if place in self._partitions:
                self._partitions[place].reload()

    def _topic_of(self, name: str) -> str:
        """The topic as the services know it."""
        return name.removeprefix(self._settings.namespace)

    def assign(self, consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]) -> None:
        """Start the work on partitions."""
        for place in places:
            self._partitions[place] = self.partition_type(
                Home(consumer, self._subscriber, place, self._topic_of(place.topic), self._rejoin.set)
            )

    async def release(self, places: Iterable[TopicPartition]) -> None:
        """Stop the work on partitions, at most 20 s."""
        leaving = [self._partitions.pop(place) for place in list(places) if place in self._partitions]
        await asyncio.gather(*(partition.release(_RELEASE_SECONDS) for partition in leaving))

    async def _commit_hints(self, consumer: AIOKafkaConsumer) -> None:
        """Tell Kafka now and then how far we are, for those who watch the group there; nothing of ours reads it."""
        committed: dict[TopicPartition, int] = {}
        while True:
            await asyncio.sleep(_COMMIT_SECONDS)
            offsets = {place: partition.expected for place, partition in self._partitions.items() if partition.ready}
            moved = {place: offset for place, offset in offsets.items() if offset is not None and committed.get(place) != offset}
            if not moved:
                continue
            try:
                async with asyncio.timeout(5):
                    await consumer.commit(moved)
                committed |= moved
            except (KafkaError, TimeoutError) as error:
                self._log.debug("kafka.hint_not_committed", error_class=type(error).__name__)

    async def _watch_for_stalls(self, consumer: AIOKafkaConsumer) -> None:
        """The client has wedged before, with records waiting and none delivered: whoever sees that twice leaves and joins again."""
        seen: dict[TopicPartition, int | None] = {}
        while True:
            await asyncio.sleep(self.stall_seconds)
            idle = {place: partition.expected for place, partition in self._partitions.items() if partition.idle}
            try:
                ends = await self._ends(consumer, list(idle))
            except (KafkaError, TimeoutError):
                ends = {}
            waiting = {place: expected for place, expected in idle.items() if ends.get(place, 0) > (expected or 0)}
            for place in [place for place in waiting if place in seen and seen[place] == waiting[place]]:
                self._subscriber.alarm("stalled", self._topic_of(place.topic), place.partition)
                self._rejoin.set()
            seen = waiting

    async def _ends(self, consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        async with asyncio.timeout(5):
            ends: dict[TopicPartition, int] = await consumer.end_offsets(list(places))
        return ends

    async def lags(self) -> list[Lag]:
        """How far the group is behind, for all partitions. Raises BusUnavailable when that cannot be known now."""
        consumer = self._consumer
        if consumer is None:
            raise BusUnavailable("not a member of the group")
        stored = await self._subscriber.positions()
        try:
            places = self._places(consumer)
            ends = await self._ends(consumer, places)
            async with asyncio.timeout(5):
                begins: dict[TopicPartition, int] = await consumer.beginning_offsets(places)
        except (KafkaError, TimeoutError) as error:
            raise BusUnavailable(type(error).__name__) from error
        return [self._lag(place, stored, begins[place], ends[place]) for place in places]

    def _places(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        """Every partition of the subscribed topics. Raises BusUnavailable for a topic that is not there."""
        places = []
        for topic in self._subscriber.topics:
            name = self._settings.namespace + topic
            partitions = consumer.partitions_for_topic(name)
            if not partitions:
                raise BusUnavailable("topic unknown")
            places += [TopicPartition(name, partition) for partition in sorted(partitions)]
        return places

    def _lag(self, place: TopicPartition, stored: Mapping[tuple[str, int], Position], begin: int, end: int) -> Lag:
        topic = self._topic_of(place.topic)
        position = stored.get((topic, place.partition), Position(begin)).next_offset
        ours = self._partitions.get(place)
        oldest_at, held = (ours.oldest_at, ours.held) if ours else (None, False)
        return Lag(topic, place.partition, position, max(end - position, 0), oldest_at, held)

    def queued(self) -> int:
        """Records that were fetched and wait in memory."""
        return sum(len(partition.backlog) for partition in self._partitions.values())


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Starts and stops partitions. It does no I/O: no heartbeat is sent while it runs, and what it raises is swallowed."""

    def __init__(self, consuming: Consuming, consumer: AIOKafkaConsumer) -> None:
        self._consuming = consuming
        self._consumer = consumer
        self.leaving = False

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._consuming.release(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        if not self.leaving:
            self._consuming.assign(self._consumer, assigned)


async def _leave(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer. With the broker away aiokafka's ``stop`` raises CancelledError by itself or hangs; neither may end us."""
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({stopping}, timeout=5)
    if not stopping.done():
        stopping.cancel()
        await asyncio.wait({stopping}, timeout=1)
    if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
        await _close_client(consumer)


async def _close_client(consumer: AIOKafkaConsumer) -> None:
    closing = asyncio.ensure_future(consumer._client.close())  # noqa: SLF001 - there is no public way
    await asyncio.wait({closing}, timeout=2)
    closing.cancel()
