"""The clock of a demo day: the same morning on every new product, a later one where a day was played already, slow again in the end."""

from datetime import UTC, datetime, timedelta

from services.demo.compose_product import ComposeProduct
from services.demo.run import OPENS_AT, a_clock_for

PLAYED_UNTIL = datetime(2027, 3, 13, 2, 0, tzinfo=UTC)


def played(until: datetime | None) -> ComposeProduct:
    product = ComposeProduct()
    product.been_until = until
    return product


def test_a_first_day_has_time_to_start_before_its_early_morning() -> None:
    product = played(None)
    clock = a_clock_for(product)
    real = clock.real_moment(OPENS_AT - timedelta(hours=3))
    assert timedelta(seconds=product.pace.start_seconds - 2) < real - datetime.now(UTC) <= timedelta(seconds=product.pace.start_seconds)


def test_a_second_day_goes_on_from_the_first_and_never_back() -> None:
    clock = a_clock_for(played(PLAYED_UNTIL))
    assert PLAYED_UNTIL <= clock.now() < PLAYED_UNTIL + timedelta(days=1)


def test_a_stack_that_is_left_up_comes_to_pass_time_as_it_is() -> None:
    clock = a_clock_for(played(None))
    late = OPENS_AT + timedelta(days=100)
    assert clock.real_moment(late + timedelta(hours=1)) - clock.real_moment(late) == timedelta(hours=1)
    assert clock.real_moment(OPENS_AT + timedelta(days=50)) - datetime.now(UTC) < timedelta(hours=1)
