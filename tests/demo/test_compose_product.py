"""What the demo on the compose stack tells: a kill that never came, and a stack that stays up in a hurry."""

from datetime import UTC, datetime, timedelta

from services.demo.clock import DayClock
from services.demo.compose_product import ComposeProduct
from shared.clock import AcceleratedClock, Phase


def test_a_kill_that_never_came_is_told() -> None:
    assert ComposeProduct(kill="kafka").missed() == ["never killed: kafka"]
    assert ComposeProduct().missed() == []


async def test_a_stack_that_is_left_up_tells_until_when_its_time_goes_by_in_a_hurry() -> None:
    product = ComposeProduct()
    product.origin = "https://127.0.0.1:8443"
    begins = datetime.now(UTC)
    ends = begins + timedelta(minutes=12)
    clock = DayClock(AcceleratedClock(Phase(begins, begins, 7200), Phase(ends, begins + timedelta(days=60), 1)))
    await product.slow_down(clock)
    (told,) = product.left(clock)
    assert f"in a hurry until {ends.astimezone():%H:%M} here" in told
    assert "make down" in told
