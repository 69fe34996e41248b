"""What the demo makes of Kafka's own words and of the consumers' positions: silence is no good news."""

import json

import pytest

from services.demo import topics
from services.demo.topics import READ_BY, TOPICS
from shared.bus import PARTITIONS

PLACES = [f"{topic}:{partition}" for topic in TOPICS for partition in range(PARTITIONS)]
TOLD = "\n".join(f"{place}:7" for place in PLACES)
ALL_HANDLED = {
    service: topics.positions_of(json.dumps({place: 7 for place in PLACES if place.split(":")[0] in read}))
    for service, read in READ_BY.items()
}
"""Every consumer at every end."""


def broken(told: str, handled: dict[str, topics.Offsets]) -> dict[str, int]:
    return {line.what: line.found for line in topics.lines(topics.ends_of(told), handled) if line.broken}


def test_consumers_at_every_end_have_left_nothing() -> None:
    assert broken(TOLD + "\n__consumer_offsets:0:12\n", ALL_HANDLED) == {}
    found = {line.what: line.found for line in topics.lines(topics.ends_of(TOLD), ALL_HANDLED)}
    assert found["records read from Kafka by consumer groups"] == 4 * PARTITIONS * 7


@pytest.mark.parametrize("told", ["", "Error: the broker is not there", "intake.events:0:"], ids=["nothing", "an error", "half a line"])
def test_what_kafka_did_not_tell_is_no_good_news(told: str) -> None:
    assert broken(told, ALL_HANDLED) == {"partitions that Kafka told of": 0}


def test_a_partition_that_was_left_out_is_missed() -> None:
    assert broken("\n".join(TOLD.splitlines()[1:]), ALL_HANDLED) == {"partitions that Kafka told of": len(PLACES) - 1}


def test_what_a_consumer_has_not_handled_is_counted_with_or_without_a_position() -> None:
    behind = {**ALL_HANDLED["followup"], "sessions.events:3": 5}
    assert broken(TOLD, {**ALL_HANDLED, "followup": behind}) == {"records not read": 2}
    del behind["sessions.events:3"]
    assert broken(TOLD, {**ALL_HANDLED, "followup": behind}) == {"records not read": 7}


def test_a_topic_that_nobody_has_handled_records_of_proves_nothing() -> None:
    empty = "\n".join(f"{place}:0" for place in PLACES)
    assert broken(empty, {service: {} for service in READ_BY}) == {"topics of which a consumer has handled records": 0}
