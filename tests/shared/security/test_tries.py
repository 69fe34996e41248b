"""Wrong tries have to wait, longer each time, and only whoever makes them."""

import pytest

from shared.security.tries import Tries


class Watch:
    """Real time that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_the_first_wrong_tries_cost_nothing_and_each_further_one_doubles_the_wait(watch: Watch) -> None:
    tries = Tries(free=3, longest_seconds=10, clock=watch)
    waits = []
    for _ in range(8):
        tries.wrong("a")
        waits.append(tries.wait("a"))
    assert waits == [0, 0, 1, 2, 4, 8, 10, 10]


def test_a_wait_ends_by_itself_and_somebody_else_has_none(watch: Watch) -> None:
    tries = Tries(free=1, clock=watch)
    tries.wrong("a", "b")
    assert (tries.wait("a"), tries.wait("b"), tries.wait("c"), tries.wait("c", "a"), tries.wait()) == (1, 1, 0, 1, 0)
    watch.now += 1
    assert tries.wait("a") == 0


def test_what_was_right_or_is_long_ago_starts_anew(watch: Watch) -> None:
    tries = Tries(free=1, longest_seconds=10, clock=watch)
    for _ in range(5):
        tries.wrong("a", "b")
    tries.right("a")
    watch.now += 41
    for key in ("a", "b"):
        assert tries.wait(key) == 0
        tries.wrong(key)
        assert tries.wait(key) == 1


def test_no_more_keys_are_kept_than_it_was_given_and_the_oldest_goes_first(watch: Watch) -> None:
    tries = Tries(free=1, keys_at_most=2, clock=watch)
    for key in ("a", "b", "a", "c"):
        tries.wrong(key)
    assert [tries.wait(key) > 0 for key in ("a", "b", "c")] == [True, False, True]


def test_a_million_wrong_tries_are_no_number_too_large(watch: Watch) -> None:
    tries = Tries(free=1, longest_seconds=300, clock=watch)
    for _ in range(3000):
        tries.wrong("a")
    assert tries.wait("a") == 300
