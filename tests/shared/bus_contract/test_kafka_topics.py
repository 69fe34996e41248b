"""Kafka only: topics that would break a promise are refused at the start, and what the broker refuses is found and set aside."""

from uuid import UUID, uuid4

import pytest

from shared.bus import BusUnavailable, Outgoing, cloud_event_headers, partition_of
from shared.kafka import TOPIC_CONFIG, KafkaBus, KafkaSettings, WrongTopics, verify_topics
from tests.support.broker import Broker
from tests.support.parties import CLINIC, MORNING
from tests.support.pipeline import KafkaPipeline
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def in_a_namespace(broker: Broker) -> KafkaSettings:
    return KafkaSettings(broker.bootstrap, client_id="test", namespace=f"t{uuid4().hex[:10]}.", request_seconds=5)


async def test_topics_as_the_deployment_makes_them_are_accepted(broker: Broker) -> None:
    settings = in_a_namespace(broker)
    await broker.create_topics(f"{settings.namespace}one.events", f"{settings.namespace}two.events")
    await verify_topics(settings, ["one.events", "two.events"])


async def test_a_missing_topic_is_refused(broker: Broker) -> None:
    settings = in_a_namespace(broker)
    await broker.create_topics(f"{settings.namespace}one.events")
    with pytest.raises(WrongTopics, match=r"two\.events is missing"):
        await verify_topics(settings, ["one.events", "two.events"])


async def test_another_number_of_partitions_is_refused(broker: Broker) -> None:
    settings = in_a_namespace(broker)
    await broker.create_topics(f"{settings.namespace}one.events", partitions=3)
    with pytest.raises(WrongTopics, match=r"one\.events has 3 partitions; it needs 12"):
        await verify_topics(settings, ["one.events"])


@pytest.mark.parametrize(("name", "value"), [("retention.ms", "604800000"), ("cleanup.policy", "compact"), ("max.message.bytes", "1000")])
async def test_another_setting_is_refused(broker: Broker, name: str, value: str) -> None:
    settings = in_a_namespace(broker)
    await broker.create_topics(f"{settings.namespace}one.events", config={**TOPIC_CONFIG, name: value})
    with pytest.raises(WrongTopics, match=f"{name} is {value}, it must be {TOPIC_CONFIG[name]}"):
        await verify_topics(settings, ["one.events"])


async def test_a_broker_that_is_not_there_is_an_outage_and_no_wrong_topic() -> None:
    nobody = KafkaSettings("127.0.0.1:1", client_id="test")
    with pytest.raises(BusUnavailable):
        await verify_topics(nobody, ["one.events"])
    bus = KafkaBus(nobody)
    with pytest.raises(BusUnavailable):
        await bus.publish([outgoing(1, uuid4(), 10)])
    await bus.close()


def outgoing(seq: int, conversation: UUID, size: int) -> Outgoing:
    headers = cloud_event_headers(
        event_id=uuid4(),
        type_name="sender.speech.said.v1",
        source="/sender",
        subject="Conversation/1",
        occurred_at=MORNING,
        key=str(conversation),
        sequence=seq,
        clinic_id=CLINIC,
        correlation_id=None,
        causation_id=None,
        traceparent=None,
    )
    return Outgoing(seq, "sender.events", partition_of(str(conversation)), str(conversation).encode(), b"x" * size, headers)


async def test_of_a_batch_that_the_broker_refuses_only_the_culprit_is_given_up(broker: Broker) -> None:
    settings = in_a_namespace(broker)
    topic = f"{settings.namespace}sender.events"
    await broker.create_topics(topic, config={**TOPIC_CONFIG, "max.message.bytes": "20000"})
    one, other = uuid4(), uuid4()
    bus = KafkaBus(settings)
    batch = [outgoing(1, one, 100), outgoing(2, one, 50_000), outgoing(3, one, 100), outgoing(4, other, 100)]
    published = await bus.publish(batch)
    again = await bus.publish([outgoing(5, one, 100)])
    await bus.close()
    assert sorted(published.taken) == [1, 3, 4]
    assert list(published.refused) == [2]
    assert again.taken == [5], "the producer that was refused is gone"
    sequences = [dict(record.headers)["ce_sequence"] for record in await broker.records(topic) if record.key == str(one).encode()]
    assert sequences == [b"1", b"3", b"5"]


async def test_an_event_that_no_broker_takes_waits_for_a_person_and_holds_up_no_other(kafka: KafkaPipeline) -> None:
    await kafka.broker.delete_topic(kafka.topic)
    await kafka.broker.create_topics(kafka.topic, config={**TOPIC_CONFIG, "max.message.bytes": "20000"})
    conversation, other = uuid4(), uuid4()
    async with kafka.process():
        await kafka.sender.say(conversation)
        await kafka.sender.say(conversation, words="x" * 50_000)
        await kafka.sender.say(conversation)
        await kafka.sender.say(other)
        await eventually(kafka.receiver.done, lambda done: done == 2)
        await kafka.settled()
    assert (await kafka.receiver.story(conversation), await kafka.receiver.story(other)) == ([1], [1])
    assert [row["reason"] for row in await kafka.receiver.parked()] == ["sequence-gap"], "what follows it waits for it"
    (row,) = await kafka.sender.admin.fetch("SELECT consumer, reason, error_class, key FROM platform.parked")
    assert tuple(row) == ("relay", "unpublishable", "MessageSizeTooLargeError", str(conversation))


async def test_what_follows_a_failed_record_in_its_partition_is_not_taken(broker: Broker) -> None:
    settings = in_a_namespace(broker)
    await broker.create_topics(f"{settings.namespace}sender.events")
    conversation = uuid4()
    bus = KafkaBus(settings)
    first = await bus.publish([outgoing(1, conversation, 100)])
    await broker.delete_topic(f"{settings.namespace}sender.events")
    lost = await bus.publish([outgoing(2, conversation, 300_000), outgoing(3, conversation, 300_000)])
    await bus.close()
    assert first.taken == [1]
    assert (lost.taken, lost.failed_partitions) == ([], {partition_of(str(conversation))})
