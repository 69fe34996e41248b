"""What consumers have handled of Kafka's topics: their positions in their own databases, held against the ends of all partitions."""

import json
from collections.abc import Mapping

from services.demo.ledger import Line
from shared.bus import PARTITIONS

TOPICS = ("followup.events", "intake.events", "sessions.events")
READ_BY = {"followup": ("intake.events", "sessions.events"), "sessions": ("followup.events", "intake.events")}
"""Which topics a service reads."""

POSITIONS = """
SELECT coalesce(json_object_agg(topic || ':' || partition, next_offset), '{}') FROM platform.consumer_offset WHERE partition >= 0
"""
Offsets = Mapping[str, int]
"""By ``<topic>:<partition>``."""


def ends_of(told: str) -> Offsets:
    """The end of each partition of our topics, from what ``kafka-get-offsets.sh`` says; anything else that it says tells of none."""
    ends = {}
    for line in told.splitlines():
        topic, *numbers = line.strip().split(":")
        if topic in TOPICS and len(numbers) == 2 and all(number.isdigit() for number in numbers):
            ends[f"{topic}:{numbers[0]}"] = int(numbers[1])
    return ends


def positions_of(told: str) -> Offsets:
    """The next offset of each partition, from what ``POSITIONS`` finds."""
    found: dict[str, int] = json.loads(told)
    return found


def lines(ends: Offsets, positions: Mapping[str, Offsets]) -> list[Line]:
    """By service in ``positions``. What nobody told of counts as broken, and so does a topic of which nothing was ever handled."""
    handled = {
        (service, topic): [(positions[service].get(place, 0), ends.get(place, 0)) for place in _places(topic)]
        for service, topics in READ_BY.items()
        for topic in topics
    }
    pairs = [pair for places in handled.values() for pair in places]
    used = sum(any(position > 0 for position, _ in places) for places in handled.values())
    return [
        Line("partitions that Kafka told of", len(ends), len(TOPICS) * PARTITIONS),
        Line("topics of which a consumer has handled records", used, len(handled)),
        Line("records read from Kafka by consumer groups", sum(position for position, _ in pairs)),
        Line("records not read", sum(max(end - position, 0) for position, end in pairs), 0),
    ]


def _places(topic: str) -> list[str]:
    return [f"{topic}:{partition}" for partition in range(PARTITIONS)]
