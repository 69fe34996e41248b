"""The clock of a demo day: the same morning on every new product, a later one where a day was played already, slow again in the end."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from services.demo.clinic import Clinic
from services.demo.clock import DayClock
from services.demo.compose_product import ComposeProduct
from services.demo.day import Day
from services.demo.run import OPENS_AT, a_clock_for
from services.demo.view import Board
from shared.clock import AcceleratedClock, Phase

PLAYED_UNTIL = datetime(2027, 3, 13, 2, 0, tzinfo=UTC)


def played(until: datetime | None) -> ComposeProduct:
    product = ComposeProduct()
    product.been_until = until
    return product


def test_a_first_day_has_time_to_start_before_its_early_morning() -> None:
    product = played(None)
    lead = timedelta(seconds=product.pace.start_seconds)
    before = datetime.now(UTC)
    clock = a_clock_for(product)
    after = datetime.now(UTC)
    assert before + lead <= clock.real_moment(OPENS_AT - timedelta(hours=3)) <= after + lead


def test_a_second_day_goes_on_from_the_first_and_never_back() -> None:
    clock = a_clock_for(played(PLAYED_UNTIL))
    assert PLAYED_UNTIL <= clock.now() < PLAYED_UNTIL + timedelta(days=1)


def test_a_stack_that_is_left_up_comes_to_pass_time_as_it_is() -> None:
    clock = a_clock_for(played(None))
    late = OPENS_AT + timedelta(days=100)
    assert clock.real_moment(late + timedelta(hours=1)) - clock.real_moment(late) == timedelta(hours=1)
    assert clock.real_moment(OPENS_AT + timedelta(days=50)) - datetime.now(UTC) < timedelta(hours=1)


def test_a_clock_that_stands_still_goes_on_where_it_stood_and_every_later_moment_comes_later() -> None:
    clock = a_clock_for(played(None))
    outage = timedelta(seconds=30)
    since = clock.real_moment(OPENS_AT + timedelta(hours=1))
    held = AcceleratedClock.parse(str(clock.standing_still(since, since + outage)))
    for hours in (-2, 0.5):
        moment = OPENS_AT + timedelta(hours=hours)
        assert held.real_moment(moment) == clock.real_moment(moment)
    for hours in (2, 50):
        moment = OPENS_AT + timedelta(hours=hours)
        assert abs(held.real_moment(moment) - clock.real_moment(moment) - outage) < timedelta(milliseconds=1)


def test_the_clock_of_a_day_stands_still_when_told() -> None:
    clock = DayClock(a_clock_for(played(None)))
    clock.stand_still(1000)
    stood = clock.now()
    assert clock.now() == stood
    assert clock.remaining(stood + timedelta(hours=1)) > timedelta(seconds=999)


async def test_whoever_waits_for_a_moment_waits_through_a_standstill() -> None:
    now = datetime.now(UTC)
    clock = DayClock(AcceleratedClock(Phase(now, OPENS_AT, 1000)))
    day = Day(Clinic(uuid4(), None), clock, OPENS_AT, Board())  # type: ignore[arg-type]  # no system is asked
    moment = clock.now() + timedelta(seconds=100)
    waiting = asyncio.create_task(day.until(moment))
    await asyncio.sleep(0)
    clock.stand_still(0.3)
    await waiting
    assert clock.now() >= moment


def test_a_day_that_is_over_goes_on_from_where_it_is_at_the_pace_of_everybody() -> None:
    clock = DayClock(a_clock_for(played(PLAYED_UNTIL)))
    reached = clock.now()
    clock.go_at_real_pace()
    assert reached <= clock.now() < reached + timedelta(days=1)
    assert timedelta(minutes=59) < clock.remaining(clock.now() + timedelta(hours=1)) <= timedelta(hours=1)
