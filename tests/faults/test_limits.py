"""What hangs is ended, and the message names the scenario."""

import asyncio
import signal
import threading

import pytest

from tests.faults.limits import Watch, ends_within


async def test_a_scenario_that_hangs_ends_and_is_named() -> None:
    with pytest.raises(AssertionError, match=r"broker kill -9: not at its end after 0\.01 s"):
        async with ends_within(0.01, "broker kill -9"):
            await asyncio.Event().wait()


async def test_a_wait_that_fails_by_itself_says_so_itself() -> None:
    with pytest.raises(TimeoutError, match="of its own"):
        async with ends_within(60, "broker kill -9"):
            raise TimeoutError("of its own")


def test_a_run_that_takes_too_long_says_where_it_was_and_is_interrupted() -> None:
    told: list[str] = []
    signal.signal(signal.SIGINT, lambda *_: None)
    watch = Watch(0.01, told.append, "test_sigterm_under_load")
    watch.scenario = "test_kill_at_random"
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the interrupt may come at any of these lines
        watch.begin()
        threading.Event().wait(30)
    watch.end()
    assert told == ["the run was not at its end after 0.01 s; it was at test_kill_at_random"]
