"""How events flow: never more in memory than is bounded, a lag that is the truth, and a trace that goes along."""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Any
from uuid import uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from shared import telemetry
from shared.bus import BusUnavailable, Record, partition_of
from shared.events.registry import Delivery
from shared.outbox import IN_VIEW, OF_ONE_KEY, emit
from tests.support.parties import MORNING, Heard, Reaction, Utterance
from tests.support.pipeline import HastyInbox, Pipeline, Process
from tests.support.waiting import eventually

MOST_IN_MEMORY = 900
"""400 records and one more answer of the broker, which brings at most 500."""


def behind(gate: asyncio.Event) -> Reaction:
    async def reaction(_db: AsyncSession, _delivery: Delivery[Utterance]) -> None:
        await gate.wait()

    return reaction


async def lag(pipeline: Pipeline, process: Process) -> int | None:
    try:
        return sum(lag.records for lag in await process.bus.lags(process.inboxes[pipeline.receiver.name]))
    except BusUnavailable:
        return None


async def test_a_slow_handler_fills_no_memory_and_gets_everything_in_order(pipeline: Pipeline) -> None:
    quick = uuid4()
    conversations = list(islice((key for key in iter(uuid4, None) if partition_of(str(key)) == partition_of(str(quick))), 50))
    gate = asyncio.Event()
    async with pipeline.process() as process:
        await pipeline.sender.say(quick)
        await pipeline.settled()
        pipeline.receiver.reaction = behind(gate)
        for _ in range(5):
            await pipeline.sender.say(*conversations * 10)
        inbox = process.inboxes["receiver"]

        async def queued_and_left() -> tuple[int, int]:
            return process.bus.queued(inbox), await pipeline.unhandled(pipeline.receiver)

        await eventually(queued_and_left, lambda seen: seen[0] >= 400 and seen[1] == 2500)
        for _ in range(50):
            assert process.bus.queued(inbox) <= MOST_IN_MEMORY
            await pipeline.sender.admin.fetchval("SELECT pg_sleep(0.01)")
        gate.set()
        await pipeline.settled(within=60)
    assert {tuple(await pipeline.receiver.story(conversation)) for conversation in conversations} == {tuple(range(1, 51))}


async def test_behind_what_one_key_has_waiting_another_keys_event_waits_for_one_batch(pipeline: Pipeline) -> None:
    flood = uuid4()
    other = next(key for key in iter(uuid4, None) if partition_of(str(key)) == partition_of(str(flood)))
    async with pipeline.process():
        await pipeline.sender.say(uuid4())
        await pipeline.settled()
    await pipeline.sender.say_much(flood, IN_VIEW + 500)
    await pipeline.sender.say(other)
    async with pipeline.process():
        await pipeline.settled()
    assert [effect.key for effect in await pipeline.receiver.effects()].index(str(other)) <= 2 * OF_ONE_KEY
    assert await pipeline.receiver.story(flood) == list(range(1, IN_VIEW + 501))


async def test_the_lag_is_what_is_really_left(pipeline: Pipeline) -> None:
    gate = asyncio.Event()
    pipeline.receiver.reaction = behind(gate)
    async with pipeline.process() as process:
        await pipeline.sender.say(*(uuid4() for _ in range(21)))

        async def reported_and_left() -> tuple[int | None, int]:
            return await lag(pipeline, process), await pipeline.unhandled(pipeline.receiver)

        await eventually(reported_and_left, lambda seen: seen == (21, 21))
        gate.set()
        await eventually(reported_and_left, lambda seen: seen == (0, 0))


class Defective(HastyInbox):
    """A consumer whose own plumbing fails twice before it touches anything."""

    failures = 2

    async def handle(self, records: Sequence[Record], **place: Any) -> None:  # Any: handed through
        if self.failures:
            self.failures -= 1
            raise RuntimeError
        await super().handle(records, **place)


async def test_a_defect_outside_the_handlers_is_told_and_loses_nothing(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process(inbox_type=Defective):
        await pipeline.sender.say(conversation)
        await pipeline.settled()
        await pipeline.sender.say(conversation)
        await pipeline.settled()
    assert await pipeline.receiver.story(conversation) == [1, 2]
    assert pipeline.receiver.alarms() == {"not-handled": 2}


async def test_trace_and_correlation_go_along(pipeline: Pipeline) -> None:
    seen: list[telemetry.Trace] = []
    parent = telemetry.Trace(traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01", correlation_id=uuid4())

    async def look_and_tell(db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        seen.append(telemetry.current_trace())
        emit(db, Heard(conversation_id=delivery.event.conversation_id, number=1, occurred_at=MORNING))

    pipeline.receiver.reaction = look_and_tell
    async with pipeline.process():
        with telemetry.tracing(parent):
            await pipeline.sender.say(uuid4())
        await pipeline.settled()
    (told,) = await pipeline.sender.logged()
    (told_on,) = await pipeline.receiver.logged()
    (trace,) = seen
    assert told["traceparent"] == parent.traceparent
    assert trace.traceparent is not None
    assert trace.traceparent.split("-")[1] == "ab" * 16
    assert trace.traceparent.split("-")[2] != "cd" * 8, "handling is a span of its own"
    assert told["correlation_id"] == trace.correlation_id == told_on["correlation_id"] == parent.correlation_id
    assert trace.causation_id == told_on["causation_id"] == told["event_id"]
    assert told_on["traceparent"] == trace.traceparent
