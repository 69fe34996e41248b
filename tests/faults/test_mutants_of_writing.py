"""Bugs that were planted where a service writes, each one caught; see ``test_mutants.py``."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import BusUnavailable, Outgoing, Published
from shared.db import Database
from shared.local import LocalBus
from shared.outbox import write_emitted
from tests.support.parties import CLINIC, Sender, raw, said
from tests.support.pipeline import TOPIC, LocalPipeline, PlantedCrash
from tests.support.verdict import WHOLE, Verdict, verdict_on
from tests.support.waiting import eventually

# The outbox outside the transaction, or no outbox at all: who dies in between has done and not told, or told and not done.


class DiesAtCommit(Database):
    """As the product, but it dies with everything written and nothing committed."""

    async def _commit(self, db: AsyncSession) -> bool:
        await write_emitted(db, producer=self.name)
        raise PlantedCrash


class TellsAfterwards(Database):
    async def _commit(self, db: AsyncSession) -> bool:
        db.info.pop("emitted")
        await super()._commit(db)
        raise PlantedCrash  # and never comes to write what it had kept


class TellsBefore(Database):
    async def _commit(self, db: AsyncSession) -> bool:
        other = Database(self.url, name=self.name)
        async with other.transaction(CLINIC) as apart:
            apart.info["emitted"] = db.info.pop("emitted")
        await other.close()
        raise PlantedCrash


@pytest.mark.parametrize(
    ("database_type", "expected"), [(DiesAtCommit, WHOLE), (TellsAfterwards, Verdict(lost=1)), (TellsBefore, Verdict(invented=1))]
)
async def test_an_outbox_outside_the_transaction_is_caught(local: LocalPipeline, database_type: type[Database], expected: Verdict) -> None:
    conversation = uuid4()
    mutant = Sender("sender", database_type(local.sender.database.url, name="sender"), local.sender.admin)
    async with local.process():
        with pytest.raises(PlantedCrash):
            await mutant.say(conversation)
        await local.settled()
        await local.sender.say(uuid4())
        await local.settled()
    await mutant.database.close()
    assert await verdict_on(local.sender, local.receiver) == expected


class Deaf(LocalBus):
    """A bus that is away."""

    asked = 0

    async def publish(self, batch: Sequence[Outgoing]) -> Published:
        self.asked += 1
        raise BusUnavailable


async def write_twice(sender: Sender, bus: LocalBus, conversation: UUID) -> None:
    """The dual write: commit the state, then hand the event to the bus."""
    async with sender.database.transaction(CLINIC) as db:
        (number,) = await sender.say_in(db, conversation)
        db.info.pop("emitted")
    event = raw(said(conversation, number))
    assert event.key is not None
    assert event.value is not None
    await bus.publish([Outgoing(number, TOPIC, event.partition, event.key, event.value, event.headers)])


async def test_a_dual_write_is_caught(local: LocalPipeline) -> None:
    bus = Deaf()
    with pytest.raises(BusUnavailable):
        await write_twice(local.sender, bus, uuid4())
    async with local.process(bus=bus):
        await local.sender.say(uuid4())
        await eventually(lambda: was_asked(bus), lambda asked: asked > 1)
    async with local.process():
        await local.settled()
    assert await verdict_on(local.sender, local.receiver) == Verdict(lost=1), "the one that went through the outbox is not lost"


async def was_asked(bus: Deaf) -> int:
    return bus.asked
