"""Run inside a service's container, as that service: what its Kafka principal may do, as JSON. It changes nothing in Kafka."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

SERVICES = ("intake", "sessions", "followup")
TOPICS = tuple(f"{service}.events" for service in SERVICES)
REFUSED = (TopicAuthorizationFailedError, GroupAuthorizationFailedError)


def connection(user: str, password: str) -> dict[str, Any]:  # Any: keyword arguments of aiokafka's clients
    return {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": user,
        "sasl_plain_password": password,
        "request_timeout_ms": 15_000,
    }


async def may_write(how: dict[str, Any], topic: str) -> bool:  # Any: as above
    """Asked with a record that is too large to be taken: rights are looked at first, and nothing is written."""
    producer = AIOKafkaProducer(**how, enable_idempotence=False, acks="all", max_request_size=2_000_000)
    await producer.start()
    try:
        await producer.send_and_wait(topic, bytes(1_000_000), partition=0)
    except REFUSED:
        return False
    except KafkaError as error:
        return type(error).__name__ == "MessageSizeTooLargeError"
    finally:
        await producer.stop()
    raise AssertionError("a megabyte was taken")


async def may_read(how: dict[str, Any], topic: str) -> bool:  # Any: as above
    """Whether a fetch was answered: only then the end of the log is known. A topic that may not even be seen looks like none."""
    consumer = AIOKafkaConsumer(**how, group_id=None)
    place = TopicPartition(topic, 0)
    try:
        await consumer.start()
        consumer.assign([place])
        consumer.seek(place, 0)
        for _ in range(10):
            await consumer.getmany(timeout_ms=500)
            if consumer.highwater(place) is not None:
                return True
    except REFUSED:
        return False
    finally:
        await consumer.stop()
    return False


async def may_use_group(how: dict[str, Any], group: str, topic: str) -> bool:  # Any: as above
    consumer = AIOKafkaConsumer(**how, group_id=group, enable_auto_commit=False)
    place = TopicPartition(topic, 0)
    try:
        await consumer.start()
        consumer.assign([place])
        await consumer.committed(place)
    except REFUSED:
        return False
    finally:
        await consumer.stop()
    return True


async def may_make_topics(how: dict[str, Any]) -> bool:  # Any: as above
    admin = AIOKafkaAdminClient(**how)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic("anything", 1, 1)], validate_only=True)
        return all(error[1] == 0 for error in answer.topic_errors)
    finally:
        await admin.close()


async def is_let_in(how: dict[str, Any]) -> bool:  # Any: as above
    admin = AIOKafkaAdminClient(**how)
    try:
        await admin.start()
    except KafkaConnectionError:
        return False
    finally:
        await admin.close()
    return True


async def main(service: str, password: str) -> dict[str, object]:
    how = connection(service, password)
    readable = [topic for topic in TOPICS if await may_read(how, topic)]
    return {
        "write": [topic for topic in TOPICS if await may_write(how, topic)],
        "read": readable,
        "groups": [group for group in SERVICES if readable and await may_use_group(how, group, readable[0])],
        "other-group": bool(readable) and await may_use_group(how, f"{service}-2", readable[0]),
        "make-topics": await may_make_topics(how),
        "other-password": await is_let_in(connection(service, "another password of a good length")),
        "as-admin": await is_let_in(connection("admin", how["sasl_plain_password"])),
        "without-a-name": await is_let_in({"bootstrap_servers": "kafka:9092", "request_timeout_ms": 3_000}),
    }


PASSWORD = Path(f"/run/secrets/{sys.argv[1]}-kafka-password").read_text().strip()
print(json.dumps(asyncio.run(main(sys.argv[1], PASSWORD))))
