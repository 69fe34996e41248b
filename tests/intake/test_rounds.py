"""What intake's workers do again and again."""

import asyncio

import pytest

from services.intake.rounds import Rounds
from shared.errors import Unavailable
from shared.telemetry import Metrics


async def test_a_worker_whose_database_was_away_goes_on_soon() -> None:
    stop, done = asyncio.Event(), 0

    async def once() -> None:
        nonlocal done
        done += 1
        if done == 1:
            raise Unavailable("The database cannot be reached.")
        stop.set()

    metrics = Metrics("intake")
    await asyncio.wait_for(Rounds("retelling", 3600, metrics, service="intake").run(once, stop), 30)
    assert done == 2
    assert metrics.registry.get_sample_value("afterglow_worker_failures_total", {"worker": "retelling"}) == 1


async def test_a_defect_of_a_worker_is_not_hidden() -> None:
    async def once() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Rounds("retelling", 3600, Metrics("intake"), service="intake").run(once, asyncio.Event())
