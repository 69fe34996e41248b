"""Looking at the pipeline costs the product nothing that others need, however many look and however slow the bus is."""

import asyncio
from collections.abc import Mapping

import pytest

from shared.bus import Outlook, Place, Subscriber
from tests.pipeline.conftest import Installation
from tests.support.waiting import eventually


async def test_who_waits_for_the_bus_keeps_no_connection_and_all_who_look_wait_for_one_answer(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    followup, answers, asked = installation.house.services["followup"], asyncio.Event(), []

    async def outlook(_subscriber: Subscriber, _positions: Mapping[Place, int]) -> dict[Place, Outlook]:
        asked.append(1)
        await answers.wait()
        return {("sessions.events", 0): Outlook(0, 7)}

    async def connections() -> int:
        return followup.database.connections_in_use()

    await installation.operator.get("/followup/v1/pipeline")
    monkeypatch.setattr(followup.bus, "outlook", outlook)
    looking = [asyncio.create_task(installation.operator.get("/followup/v1/pipeline")) for _ in range(24)]
    try:
        await eventually(lambda: _count(asked), lambda count: count == 1)
        await eventually(connections, lambda count: count == 0)
        assert not any(task.done() for task in looking)
        assert (await installation.operator.get("/followup/v1/pipeline/parked"))["items"] == []
    finally:
        answers.set()
    found = await asyncio.gather(*looking)
    assert {one["consumer"]["lag"] for one in found} == {7}
    assert len(asked) <= 2


async def _count(asked: list[int]) -> int:
    return len(asked)
