"""What Kafka must know of the services: topics, and each principal's rights. ``deploy/kafka`` holds both as files; a test compares."""

from collections.abc import Mapping, Sequence

from shared.bus import PARTITIONS
from shared.events import Event, registry
from shared.kafka import TOPIC_CONFIG
from shared.service import Service


def grants(services: Sequence[Service]) -> list[str]:
    """Every right of every principal: ``<principal> <operation> <kind of resource> <name>``, sorted.

    A service writes its own topic and reads those it subscribes to, in the group of its name. It verifies the settings of all of them
    at its start. Describing is part of reading and of writing.
    """
    consumed: Mapping[str, Sequence[type[Event]]] = {service.name: list(service.subscriptions) for service in services}
    wanted: set[str] = set()
    for service, events in consumed.items():
        own, read = f"{service}.events", {event.type.topic for event in events}
        wanted.add(f"User:{service} Write topic {own}")
        wanted |= {f"User:{service} Read topic {topic}" for topic in read}
        wanted |= {f"User:{service} DescribeConfigs topic {topic}" for topic in read | {own}}
        wanted |= {f"User:{service} Read group {service}"} if read else set()
    return sorted(wanted)


def topics() -> list[str]:
    """Every topic: ``<name> <partitions> <setting>=<value> ...``, sorted."""
    settings = " ".join(f"{name}={value}" for name, value in sorted(TOPIC_CONFIG.items()))
    return [f"{topic} {PARTITIONS} {settings}" for topic in registry.topics()]
