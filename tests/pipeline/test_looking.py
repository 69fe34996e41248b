"""Looking at the pipeline costs the product nothing that others need, however many look and however slow the bus is."""

import asyncio
from collections.abc import Mapping

from shared.bus import Outlook, Place, Subscriber
from shared.clock import FrozenClock
from shared.local import LocalBus
from tests.conftest import NEW_YORK_MORNING
from tests.support.databases import Databases
from tests.support.house import house_on
from tests.support.waiting import eventually


class SlowBus(LocalBus):
    """Answers who looks at it when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.looks = 0

    async def outlook(self, subscriber: Subscriber, positions: Mapping[Place, int]) -> dict[Place, Outlook]:
        self.looks += 1
        await self.answers.wait()
        return {("sessions.events", 0): Outlook(0, 7)}

    async def looked_at(self) -> int:
        return self.looks


async def test_who_waits_for_the_bus_keeps_no_connection_and_all_who_look_wait_for_one_answer(databases: Databases) -> None:
    bus = SlowBus()
    async with house_on(databases, FrozenClock(NEW_YORK_MORNING), bus_of=lambda _service: bus) as house:
        operator, database = house.operator(), house.services["followup"].database

        async def connections() -> int:
            return database.connections_in_use()

        looking = [asyncio.create_task(operator.get("/followup/v1/pipeline")) for _ in range(24)]
        try:
            await eventually(bus.looked_at, lambda looks: looks > 0)
            await eventually(connections, lambda count: count == 0)
            assert not any(task.done() for task in looking)
            assert (await operator.get("/followup/v1/pipeline/parked"))["items"] == []
            assert bus.looks == 1
        finally:
            bus.answers.set()
            found = await asyncio.gather(*looking)
            await operator.close()
        assert {one["consumer"]["lag"] for one in found} == {7}
