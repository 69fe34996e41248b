"""A real Apache Kafka for tests: one node in a container for each worker, since some tests freeze or kill it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.errors import KafkaError

from shared.bus import PARTITIONS, Headers, Record
from shared.kafka import TOPIC_CONFIG
from tests.support.ports import free_port
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

IMAGE = "apache/kafka:4.3.0"
_NODE = {
    "CLUSTER_ID": "QWZ0ZXJnbG93LXRlc3QtMQ",
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    # The node speaks to itself too, and cannot reach the published port from inside.
    "KAFKA_LISTENERS": "CLIENT://:9092,INSIDE://localhost:9094,CONTROLLER://localhost:9093",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_BROKER_SESSION_TIMEOUT_MS": "3000",
    "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_OFFSETS_RETENTION_MINUTES": "43200",
    "KAFKA_HEAP_OPTS": "-Xms256m -Xmx512m",
}


class Broker:
    """The node, and what a test may do with it and to it."""

    def __init__(self) -> None:
        self._port = free_port()
        self.bootstrap = f"127.0.0.1:{self._port}"
        self._container: DockerContainer | None = None

    async def start(self) -> None:
        """Start the container and wait until the node answers."""
        self._container = await asyncio.to_thread(_start_container, self._port)
        await self.answers()

    async def remove(self) -> None:
        """Stop the container and leave nothing of it."""
        if self._container is not None:
            await asyncio.to_thread(self._container.stop)

    async def answers(self) -> None:
        """Wait until clients are served."""
        await eventually(self._answers, within=150, every=0.2)

    async def _answers(self) -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=2000)
        try:
            await admin.start()
            await admin.list_topics()
        except (KafkaError, OSError):
            return False
        finally:
            await admin.close()
        return True

    async def pause(self) -> None:
        """Freeze the node: connections stay, nothing is answered."""
        await self._docker("kill", "SIGSTOP")

    async def unpause(self) -> None:
        await self._docker("kill", "SIGCONT")

    async def kill(self) -> None:
        """End the node as a power cut would, without losing what the disk has."""
        await self._docker("kill")

    async def start_again(self) -> None:
        """Start a killed node on its disk."""
        await self._docker("start")
        await self.answers()

    async def _docker(self, verb: str, *arguments: str) -> None:
        assert self._container is not None
        await asyncio.to_thread(getattr(self._container.get_wrapped_container(), verb), *arguments)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def create_topics(self, *names: str, partitions: int = PARTITIONS, config: Mapping[str, str] = TOPIC_CONFIG) -> None:
        """Create topics as a deployment would."""
        new = [NewTopic(name, partitions, 1, topic_configs=dict(config)) for name in names]
        async with self._admin() as admin:
            created = await admin.create_topics(new)
            assert [code for _, code, *_ in created.topic_errors] == [0] * len(names), created
            await eventually(lambda: admin.describe_topics(list(names)), lambda topics: all(_led(topic) for topic in topics))

    async def delete_topic(self, name: str) -> None:
        async with self._admin() as admin:
            await admin.delete_topics([name])
            await eventually(lambda: admin.describe_topics([name]), lambda topics: topics[0]["error_code"] == 3)

    async def delete_records(self, topic: str, partition: int, *, before: int) -> None:
        """Take the oldest records away, as retention does."""
        async with self._admin() as admin:
            await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before)})

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """The offset that each partition's next record will get."""
        async with self._reader() as reader:
            ends = await reader.end_offsets([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        return {place.partition: end for place, end in ends.items()}

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """What Kafka remembers of a group's offsets."""
        async with self._admin() as admin:
            offsets = await admin.list_consumer_group_offsets(group)
        return {place.partition: stored.offset for place, stored in offsets.items() if place.topic == topic}

    async def members(self, group: str) -> int:
        """How many members Kafka counts in a group now."""
        async with self._admin() as admin:
            (described,) = (await admin.describe_consumer_groups([group]))[0].groups
        return len(described[-2] if isinstance(described[-1], int) else described[-1])

    async def delete_group(self, group: str) -> None:
        """Make Kafka forget a group, which must have no members. Kafka's own tool does it; the client has no way."""
        assert self._container is not None
        tool = ["/opt/kafka/bin/kafka-consumer-groups.sh", "--bootstrap-server", "localhost:9094", "--delete", "--group", group]
        ended = await asyncio.to_thread(self._container.get_wrapped_container().exec_run, tool, environment={"KAFKA_HEAP_OPTS": "-Xmx64m"})
        assert ended.exit_code == 0, ended.output.decode()

    async def records(self, topic: str) -> list[Record]:
        """Everything that is in a topic now, partition by partition."""
        async with self._reader() as reader:
            places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            ends = await reader.end_offsets(places)
            reader.assign(places)
            await reader.seek_to_beginning(*places)
            found: list[Record] = []
            while [await reader.position(place) for place in places] != [ends[place] for place in places]:
                for batch in (await reader.getmany(timeout_ms=100)).values():
                    found += [Record(topic, r.partition, r.offset, r.key, r.value, tuple(r.headers)) for r in batch]
        return sorted(found, key=lambda record: (record.partition, record.offset))

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        reader = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None, enable_auto_commit=False)
        await reader.start()
        try:
            yield reader
        finally:
            await reader.stop()

    async def send(self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes | None, Headers]]) -> None:
        """Write records past our own producer, in order: keys, values and headers of any kind."""
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all", max_request_size=2 * 1024 * 1024) as producer:
            for key, value, headers in records:
                await producer.send_and_wait(topic, value, key, partition, headers=list(headers))

    async def send_with_gaps(self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes | None, Headers]]) -> None:
        """Write records so that after each one an offset is missing: the mark of a transaction takes it."""
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, transactional_id=uuid4().hex) as producer:
            for key, value, headers in records:
                async with producer.transaction():
                    await producer.send_and_wait(topic, value, key, partition, headers=list(headers))


def _led(topic: Mapping[str, Any]) -> bool:  # Any: aiokafka's answer as plain values
    return topic["error_code"] == 0 and all(partition["leader"] >= 0 for partition in topic["partitions"])


def _start_container(port: int) -> "DockerContainer":
    from testcontainers.core.config import testcontainers_config  # noqa: PLC0415 - most runs need no container
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - as above

    testcontainers_config.ryuk_disabled = True  # the fixture removes the container; a second one to watch it cannot be pulled everywhere
    container = DockerContainer(IMAGE).with_envs(**_NODE, KAFKA_ADVERTISED_LISTENERS=f"CLIENT://127.0.0.1:{port},INSIDE://localhost:9094")
    cast(dict[str, Any], container.ports)["9092/tcp"] = (
        "127.0.0.1",
        port,
    )  # Any: docker-py takes an address here, the type does not say so
    return container.with_kwargs(mem_limit="1g").start()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def broker() -> AsyncIterator[Broker]:
    """The worker's broker."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # with a broker away it says so hundreds of times a second
    node = Broker()
    try:
        await node.start()
        yield node
    finally:
        await node.remove()
