"""The same over a real Kafka, where there are offsets, partitions, and records that retention takes away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text

from shared.bus import partition_of
from shared.clock import FrozenClock
from shared.kafka import KafkaBus, KafkaSettings
from tests.conftest import NEW_YORK_MORNING
from tests.pipeline.conftest import Installation, Json
from tests.support.broker import Broker
from tests.support.databases import Databases
from tests.support.house import Clinic, house_on
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

BY = ("--by", "A. Person", "--reason", "a lost log")
LONG_AGO = ("--since", "2020-01-01T00:00:00Z", *BY)
OF_INTAKE = ("--consumer", "followup", "--topic", "intake.events")
DECISION = ("--by", "A. Person", "--reason", "deleted by retention")


@dataclass
class OverKafka(Installation):
    """An installation whose services meet on a broker."""

    broker: Broker
    namespace: str

    async def partition(self, number: int) -> Json:
        """How followup stands in one partition of intake's topic."""
        document = (await self.run("status", "--service", "followup", "--json")).json()["followup"]
        places: list[Json] = document["consumer"]["partitions"]
        (place,) = [one for one in places if (one["topic"], one["partition"]) == ("intake.events", number)]
        return place

    async def caught_up(self) -> None:
        """Wait until followup has read all that was told."""
        await self.house.settled()
        ends = await self.broker.end_offsets(f"{self.namespace}intake.events")
        await eventually(self.positions, lambda stored: all(stored.get(number, 0) == end for number, end in ends.items()), within=60)

    async def positions(self) -> dict[int, int]:
        """followup's stored positions in intake's topic."""
        sql = "SELECT partition, next_offset FROM platform.consumer_offset WHERE topic = 'intake.events'"
        async with self.house.services["followup"].database.transaction() as db:
            return {row.partition: row.next_offset for row in await db.execute(text(sql))}

    @asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """followup cannot store a position for as long as the block runs, so it handles nothing."""
        admin = await self.admin("followup")
        await admin.execute("BEGIN; LOCK TABLE platform.consumer_offset IN EXCLUSIVE MODE")
        try:
            yield
        finally:
            await admin.close()


@pytest_asyncio.fixture(loop_scope="session")
async def over_kafka(databases: Databases, broker: Broker) -> AsyncIterator[OverKafka]:
    namespace = f"p{uuid4().hex[:10]}."
    await broker.create_topics(*(f"{namespace}{service}.events" for service in ("intake", "sessions", "followup")))

    def bus_of(service: str) -> KafkaBus:
        return KafkaBus(KafkaSettings(broker.bootstrap, client_id=service, namespace=namespace, session_timeout_ms=6000))

    async with house_on(databases, FrozenClock(NEW_YORK_MORNING), bus_of=bus_of) as house:
        operator = house.operator()
        yield OverKafka(house, operator, databases, broker, namespace)
        await operator.close()


@pytest_asyncio.fixture(loop_scope="session")
async def clinic(over_kafka: OverKafka) -> Clinic:
    hired = await over_kafka.house.clinic()
    await over_kafka.caught_up()
    return hired


async def hire_into(clinic: Clinic, number: int) -> UUID:
    """A new practitioner whose events go to this partition."""
    while True:
        practitioner_id = await clinic.hire_one(uuid4().hex, "therapist")
        if partition_of(str(practitioner_id)) == number:
            return practitioner_id


async def knows(over_kafka: OverKafka, practitioner_id: UUID) -> bool:
    async with over_kafka.house.services["followup"].database.transaction() as db:
        found = await db.execute(text("SELECT 1 FROM platform.practitioner WHERE practitioner_id = :id"), {"id": practitioner_id})
        return found.first() is not None


def total(parts: list[dict[str, Any]], name: str) -> int:  # Any: JSON values
    return sum(part[name] for part in parts)


async def test_a_consumer_that_stands_still_shows_how_far_and_how_long_it_is_behind(over_kafka: OverKafka, clinic: Clinic) -> None:
    number = partition_of(str(clinic.staff["therapist"]))
    before = await over_kafka.partition(number)
    assert (before["state"], before["lag"], before["oldest_seconds"]) == ("caught-up", 0, None)
    async with over_kafka.standing_still():
        late = await hire_into(clinic, number)
        await over_kafka.house.settled()
        behind = await over_kafka.partition(number)
        assert (behind["state"], behind["next_offset"], behind["lag"]) == ("behind", before["end_offset"], 1)
        assert behind["oldest_seconds"] > 0
        told = await over_kafka.run("status")
        assert f"intake.events/{number} behind" in told.out
    await over_kafka.caught_up()
    assert await knows(over_kafka, late)


async def test_replaying_brings_back_what_was_lost_and_leaves_the_position_alone(over_kafka: OverKafka, clinic: Clinic) -> None:
    known, positions = await over_kafka.clients(), await over_kafka.positions()
    again = await over_kafka.run("replay", *OF_INTAKE, *LONG_AGO, "--yes", "--json")
    assert again.code == 0, again.err
    assert (total(again.json(), "read"), total(again.json(), "applied")) == (sum(positions.values()), 0)
    await over_kafka.lose_clients()
    number = partition_of(clinic.client_id)
    offsets = ("--partition", str(number), "--from-offset", "0", "--to-offset", str(positions[number]), *BY)
    one = await over_kafka.run("replay", *OF_INTAKE, *offsets, "--yes", "--json")
    assert (one.code, total(one.json(), "read")) == (0, positions[number])
    assert clinic.client_id in await over_kafka.clients()
    assert (await over_kafka.run("replay", *OF_INTAKE, *LONG_AGO, "--yes")).code == 0
    assert await over_kafka.clients() == known
    assert await over_kafka.positions() == positions
    late = await hire_into(clinic, number)
    await over_kafka.caught_up()
    assert await knows(over_kafka, late), "the live consumer goes on"


async def test_republishing_puts_the_same_ids_on_the_topic_again(over_kafka: OverKafka, clinic: Clinic) -> None:
    topic = f"{over_kafka.namespace}intake.events"
    before = [dict(record.headers)["ce_id"] for record in await over_kafka.broker.records(topic)]
    done = await over_kafka.run("republish", "--service", "intake", *LONG_AGO, "--yes")
    assert done.code == 0, done.err
    await over_kafka.caught_up()
    after = [dict(record.headers)["ce_id"] for record in await over_kafka.broker.records(topic)]
    assert sorted(after) == sorted(before * 2)
    assert await over_kafka.parked() == []


async def test_a_gap_is_seen_and_settled_and_what_was_lost_is_told_again(over_kafka: OverKafka, clinic: Clinic) -> None:
    number = partition_of(str(clinic.staff["therapist"]))
    place = ("--consumer", "followup", "--topic", "intake.events", "--partition", str(number))
    end = (await over_kafka.positions())[number]
    await over_kafka.broker.delete_records(f"{over_kafka.namespace}intake.events", number, before=end)
    admin = await over_kafka.admin("followup")
    await admin.execute("UPDATE platform.consumer_offset SET next_offset = 0 WHERE topic = 'intake.events' AND partition = $1", number)
    await admin.execute("DELETE FROM platform.practitioner; DELETE FROM platform.inbox")
    await admin.close()
    late = await hire_into(clinic, number)
    await over_kafka.house.settled()
    assert (await over_kafka.partition(number))["state"] == "retention-loss"
    dry = await over_kafka.run("settle-gap", *place, *DECISION)
    assert (dry.code, f"({end})" in dry.out, (await over_kafka.positions())[number]) == (0, True, 0)
    done = await over_kafka.run("settle-gap", *place, *DECISION, "--yes")
    assert (done.code, "republish --service intake" in done.out) == (0, True)
    row = (await over_kafka.audit())[-1]
    assert (row["operation"], row["subject"], row["purpose"]) == (
        "settle_gap", f"intake.events/{number}", "A. Person: deleted by retention",
    )  # fmt: skip
    await over_kafka.caught_up()
    assert await knows(over_kafka, late)
    assert not await knows(over_kafka, clinic.staff["therapist"])
    await over_kafka.run("republish", "--service", "intake", *LONG_AGO, "--yes")
    await over_kafka.caught_up()
    assert await knows(over_kafka, clinic.staff["therapist"])


async def test_redriving_takes_up_a_patient_where_it_stopped(over_kafka: OverKafka, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await over_kafka.caught_up()
    async with over_kafka.broken():
        await patient.complete()
        await eventually(over_kafka.parked, lambda rows: any(row["reason"] == "poison" for row in rows), within=60)
    done = await over_kafka.run("redrive", "--key", patient.patient_id, "--yes")
    assert (done.code, "0 failed again" in done.out) == (0, True)
    await eventually(patient.tasks, lambda tasks: len(tasks) > 0)
    assert {row["state"] for row in await over_kafka.parked()} == {"resolved"}
