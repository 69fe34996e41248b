"""A service that started while Kafka was away looks at its topics as soon as Kafka is there."""

import asyncio

import pytest

from shared.bus import BusUnavailable
from shared.kafka import WrongTopics
from shared.standalone import verify_once_there
from tests.support.waiting import eventually


class Kafka:
    """Away for the first looks; then its topics are as they are."""

    def __init__(self, *, away: int, wrong: str = "") -> None:
        self.away = away
        self.wrong = wrong
        self.looks = 0

    async def verify(self) -> None:
        self.looks += 1
        if self.looks <= self.away:
            raise BusUnavailable
        if self.wrong:
            raise WrongTopics(self.wrong)

    async def seen(self) -> int:
        return self.looks


async def test_topics_are_verified_until_it_succeeds_and_the_worker_goes_on_until_the_stop() -> None:
    kafka, stop = Kafka(away=3), asyncio.Event()
    worker = asyncio.create_task(verify_once_there(kafka.verify, "intake", stop, every_seconds=0.01))
    await eventually(kafka.seen, lambda looks: looks == 4)
    assert not worker.done(), "a worker that ends by itself is a defect"
    stop.set()
    await worker
    assert kafka.looks == 4


async def test_topics_that_turn_out_wrong_end_the_process() -> None:
    kafka = Kafka(away=2, wrong="topic intake.events: cleanup.policy is compact, it must be delete")
    with pytest.raises(WrongTopics, match=r"cleanup\.policy"):
        await verify_once_there(kafka.verify, "intake", asyncio.Event(), every_seconds=0.01)


async def test_a_stop_ends_the_waiting() -> None:
    kafka, stop = Kafka(away=1000), asyncio.Event()
    worker = asyncio.create_task(verify_once_there(kafka.verify, "intake", stop, every_seconds=60))
    await eventually(kafka.seen, lambda looks: looks == 1)
    stop.set()
    await asyncio.wait_for(worker, 5)
