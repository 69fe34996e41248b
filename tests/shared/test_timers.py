"""Timers fire once, whoever looks for them, and a bad one holds up nobody."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest_asyncio
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.clock import FrozenClock
from shared.timers import DueTimer, Timer, TimerHandler, Timers, arm, disarm
from tests.support.databases import Databases
from tests.support.parties import CLINIC, MORNING, OTHER_CLINIC, Receiver
from tests.support.pipeline import Parties
from tests.support.waiting import eventually

SUBJECT = uuid4()
HOUR = timedelta(hours=1)


@pytest_asyncio.fixture(loop_scope="session")
async def service(databases: Databases) -> AsyncIterator[Receiver]:
    parties = Parties(databases)
    yield await parties.receiver("receiver")
    await parties.leave()


async def note(db: AsyncSession, timers: Sequence[DueTimer]) -> None:
    """A handler that leaves one line for each timer, in its transaction."""
    rows = [{"kind": timer.kind, "key": timer.timer_key} for timer in timers]
    await db.execute(text("INSERT INTO public.effect (kind, key) VALUES (:kind, :key)"), rows)


def at(hours: float, key: str, *, kind: str = "reminder") -> Timer:
    return Timer(key, kind, MORNING + hours * HOUR, SUBJECT)


async def armed(service: Receiver, *timers: Timer, clinic_id: UUID = CLINIC) -> None:
    async with service.database.transaction(clinic_id) as db:
        await arm(db, *timers)


async def fired(service: Receiver) -> list[str]:
    rows = await service.admin.fetch("SELECT key FROM public.effect ORDER BY n")
    return [row["key"] for row in rows]


def timers_of(service: Receiver, clock: FrozenClock, **handlers: TimerHandler) -> Timers:
    return Timers(service.database, clock, handlers or {"reminder": note}, service.metrics)


async def test_four_replicas_fire_each_timer_once(service: Receiver, clock: FrozenClock) -> None:
    keys = [f"timer-{number:03}" for number in range(250)]
    await armed(service, *(at(0, key) for key in keys))
    replicas = [timers_of(service, clock) for _ in range(4)]

    async def until_nothing_is_due(replica: Timers) -> int:
        total = 0
        while count := await replica.fire_due():
            total += count
        return total

    counts = await asyncio.gather(*(until_nothing_is_due(replica) for replica in replicas))
    assert sum(counts) == 250
    assert sorted(await fired(service)) == keys
    assert service.count("timers_fired", timer_kind="reminder") == 250


async def test_the_business_clock_decides_what_is_due(service: Receiver, clock: FrozenClock) -> None:
    timers = timers_of(service, clock)
    await armed(service, at(1, "one"), at(2, "two"))
    assert await timers.fire_due() == 0
    clock.advance(HOUR)
    assert await timers.fire_due() == 1
    clock.advance(48 * HOUR)
    assert await timers.fire_due() == 1
    assert await fired(service) == ["one", "two"]


async def test_arming_again_moves_a_timer_and_wakes_a_fired_one(service: Receiver, clock: FrozenClock) -> None:
    timers = timers_of(service, clock)
    await armed(service, at(0, "moved"))
    await armed(service, at(3, "moved"))
    assert await timers.fire_due() == 0
    clock.advance(3 * HOUR)
    assert await timers.fire_due() == 1
    await armed(service, at(3, "moved"))
    assert await timers.fire_due() == 1
    assert await fired(service) == ["moved", "moved"]


async def test_a_handler_may_arm_its_own_timer_for_later(service: Receiver, clock: FrozenClock) -> None:
    async def every_hour(db: AsyncSession, due: Sequence[DueTimer]) -> None:
        await note(db, due)
        await arm(db, *(Timer(timer.timer_key, timer.kind, timer.due_at + HOUR, timer.subject_id) for timer in due))

    timers = timers_of(service, clock, hourly=every_hour)
    await armed(service, at(0, "hourly", kind="hourly"))
    for _ in range(3):
        assert await timers.fire_due() == 1
        assert await timers.fire_due() == 0
        clock.advance(HOUR)
    assert await fired(service) == ["hourly"] * 3


async def test_a_timer_that_is_disarmed_first_does_not_fire(service: Receiver, clock: FrozenClock) -> None:
    await armed(service, at(0, "open"))
    firing = timers_of(service, clock)
    async with service.database.transaction(CLINIC) as db:
        await disarm(db, "open")
        assert await firing.fire_due() == 0, "its row is taken"
    assert await firing.fire_due() == 0
    assert await fired(service) == []


async def test_who_disarms_while_a_timer_fires_comes_too_late_and_knows_it(service: Receiver, clock: FrozenClock) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(db: AsyncSession, due: Sequence[DueTimer]) -> None:
        reached.set()
        await go_on.wait()
        await note(db, due)

    await armed(service, at(0, "open"))
    firing = asyncio.create_task(timers_of(service, clock, reminder=slowly).fire_due())
    await asyncio.wait_for(reached.wait(), 40)

    async def disarm_it() -> None:
        async with service.database.transaction(CLINIC) as db:
            await disarm(db, "open")

    disarming = asyncio.create_task(disarm_it())
    await eventually(lambda: service.admin.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
    go_on.set()
    await asyncio.gather(firing, disarming)
    assert await fired(service) == ["open"]
    assert await service.admin.fetchval("SELECT state FROM platform.timer") == "fired"


async def test_one_bad_timer_holds_up_no_other_and_comes_back(service: Receiver, clock: FrozenClock) -> None:
    broken = {"bad"}

    async def stumble(db: AsyncSession, due: Sequence[DueTimer]) -> None:
        await note(db, due)
        if broken & {timer.timer_key for timer in due}:
            raise RuntimeError

    timers = timers_of(service, clock, reminder=stumble)
    await armed(service, at(-50, "before"), at(-40, "bad"), at(-30, "after"), at(0, "now"))
    assert await timers.fire_due() == 3
    assert await fired(service) == ["before", "after", "now"]
    assert await timers.fire_due() == 0, "the bad one waits a while, however overdue it is"
    assert service.count("worker_failures", worker="timer") == 1
    broken.clear()
    clock.advance(timedelta(minutes=1))
    assert await timers.fire_due() == 1
    assert await fired(service) == ["before", "after", "now", "bad"]


async def test_one_that_is_moved_after_it_failed_keeps_its_new_time(service: Receiver, clock: FrozenClock) -> None:
    class MovedMeanwhile(Timers):
        async def _postpone(self, timer: DueTimer, error: Exception) -> None:
            await armed(service, at(10, timer.timer_key))
            await super()._postpone(timer, error)

    async def fail(_db: AsyncSession, _due: Sequence[DueTimer]) -> None:
        raise RuntimeError

    await armed(service, at(0, "moved"))
    assert await MovedMeanwhile(service.database, clock, {"reminder": fail}, service.metrics).fire_due() == 0
    timers = timers_of(service, clock)
    clock.advance(9 * HOUR)
    assert await timers.fire_due() == 0, "the wait of the failed one is no time for it any more"
    clock.advance(HOUR)
    assert await timers.fire_due() == 1
    assert await fired(service) == ["moved"]


async def test_one_that_is_disarmed_after_its_batch_failed_does_not_fire(service: Receiver, clock: FrozenClock) -> None:
    class DisarmedMeanwhile(Timers):
        async def _fire_or_postpone(self, timer: DueTimer) -> int:
            async with service.database.transaction(CLINIC) as db:
                await disarm(db, "called-off")
            return await super()._fire_or_postpone(timer)

    async def fail_together(db: AsyncSession, due: Sequence[DueTimer]) -> None:
        if len(due) > 1:
            raise RuntimeError
        await note(db, due)

    await armed(service, at(-1, "called-off"), at(0, "wanted"))
    assert await DisarmedMeanwhile(service.database, clock, {"reminder": fail_together}, service.metrics).fire_due() == 1
    assert await fired(service) == ["wanted"]
    states = await service.admin.fetch("SELECT timer_key, state FROM platform.timer")
    assert {row["timer_key"]: row["state"] for row in states} == {"called-off": "disarmed", "wanted": "fired"}


async def test_one_whose_statement_takes_too_long_is_a_bad_one_too(service: Receiver, clock: FrozenClock) -> None:
    async def dawdle(db: AsyncSession, due: Sequence[DueTimer]) -> None:
        await note(db, due)
        if "bad" in {timer.timer_key for timer in due}:
            await db.execute(text("SET LOCAL statement_timeout = '20ms'"))
            await db.execute(text("SELECT pg_sleep(5)"))

    await armed(service, at(-50, "before"), at(-40, "bad"), at(-30, "after"))
    assert await timers_of(service, clock, reminder=dawdle).fire_due() == 2
    assert await fired(service) == ["before", "after"]


async def test_a_kind_that_nobody_handles_holds_up_no_other(service: Receiver, clock: FrozenClock) -> None:
    await armed(service, at(-1, "of-an-old-release", kind="forgotten"), at(0, "known"))
    assert await timers_of(service, clock).fire_due() == 1
    assert await fired(service) == ["known"]


async def test_timers_of_several_clinics_fire_inside_their_own(service: Receiver, clock: FrozenClock) -> None:
    seen: dict[str, str] = {}

    async def look(db: AsyncSession, due: Sequence[DueTimer]) -> None:
        inside = (await db.execute(text("SELECT current_setting('app.clinic_id')"))).scalar_one()
        seen.update({timer.timer_key: inside for timer in due})
        assert {str(timer.clinic_id) for timer in due} == {inside}

    await armed(service, at(0, "ours"))
    await armed(service, at(0, "theirs"), clinic_id=OTHER_CLINIC)
    assert await timers_of(service, clock, reminder=look).fire_due() == 2
    assert seen == {"ours": str(CLINIC), "theirs": str(OTHER_CLINIC)}


async def test_the_loop_fires_and_outlives_an_outage(service: Receiver, clock: FrozenClock) -> None:
    stop = asyncio.Event()
    loop = asyncio.create_task(timers_of(service, clock).run(stop, poll_seconds=0.01))
    await armed(service, at(0, "before"))
    await eventually(lambda: fired(service), lambda keys: keys == ["before"])
    await service.cut_off()
    await eventually(service.refused_connections)
    await service.give_back()
    clock.advance(HOUR)
    await eventually(lambda: arms(service, at(0.5, "after")))
    await eventually(lambda: fired(service), lambda keys: keys == ["before", "after"])
    stop.set()
    await asyncio.wait_for(loop, 40)


async def arms(service: Receiver, timer: Timer) -> bool:
    """Whether arming succeeded; a pooled connection may still be a dead one."""
    if await service.refused_connections():
        return False
    await armed(service, timer)
    return True
