"""Checking at the start that the topics are as the promises need them."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from shared.bus import PARTITIONS, BusUnavailable
from shared.kafka.settings import TOPIC_CONFIG, KafkaSettings

_UNKNOWN_TOPIC = 3


class WrongTopics(Exception):
    """A topic is missing or not as it must be; the service does not start. The message names topic and setting."""


async def verify_topics(settings: KafkaSettings, topics: Sequence[str]) -> None:
    """Refuse to run on topics that are missing or would lose or reorder events. Raises WrongTopics, or BusUnavailable."""
    named = [settings.namespace + topic for topic in topics]
    admin = AIOKafkaAdminClient(**settings.connection())
    try:
        async with asyncio.timeout(2 * settings.request_seconds):
            await admin.start()
            _verify_partitions(await admin.describe_topics(named))
            _verify_configs(await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic) for topic in named]))
    except (KafkaError, OSError, TimeoutError) as error:
        raise BusUnavailable(type(error).__name__) from error
    finally:
        await admin.close()


def _verify_partitions(described: Sequence[dict[str, Any]]) -> None:  # Any: aiokafka's answer as plain values
    for topic in described:
        if topic["error_code"] == _UNKNOWN_TOPIC:
            raise WrongTopics(f"topic {topic['topic']} is missing; the deployment creates it")
        if topic["error_code"] != 0:
            raise BusUnavailable(f"topic {topic['topic']} cannot be described: error {topic['error_code']}")
        if len(topic["partitions"]) != PARTITIONS:
            raise WrongTopics(f"topic {topic['topic']} has {len(topic['partitions'])} partitions; it needs {PARTITIONS}, for ever")


def _verify_configs(responses: Sequence[Any]) -> None:  # Any: aiokafka's response objects are built at run time
    for response in responses:
        for _error, _message, _type, topic, entries in response.resources:
            values = {entry[0]: entry[1] for entry in entries}
            for name, wanted in TOPIC_CONFIG.items():
                if values.get(name) != wanted:
                    raise WrongTopics(f"topic {topic}: {name} is {values.get(name)}, it must be {wanted}")
