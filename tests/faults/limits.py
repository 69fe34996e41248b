"""Ends for what may hang, with a message that says where."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def ends_within(seconds: float, name: str) -> AsyncIterator[None]:
    """What is waited for in the block is given up after so many seconds. Raises AssertionError, with the name."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise AssertionError(f"{name}: not at its end after {seconds:g} s") from None
        raise


class Watch:
    """Ends a whole run that takes too long: by an interrupt, so that it cleans up, and where that does not help, for good."""

    def __init__(self, seconds: float, tell: Callable[[str], None], scenario: str, *, grace_seconds: float = 120.0) -> None:
        self.scenario = scenario
        """Where the run is."""
        self._said = f"the run was not at its end after {seconds:g} s; it was at"
        self._tell = tell
        self._timers = [threading.Timer(seconds, self._interrupt), threading.Timer(seconds + grace_seconds, self._end)]

    def begin(self) -> None:
        """To be called by the main thread."""
        # A server that ran in this process may have left its own way of taking an interrupt, which raises nothing.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for timer in self._timers:
            timer.daemon = True
            timer.start()

    def end(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _interrupt(self) -> None:
        self._tell(f"{self._said} {self.scenario}")
        os.kill(os.getpid(), signal.SIGINT)

    def _end(self) -> None:
        self._tell(f"{self._said} {self.scenario}, and did not let itself be interrupted")
        os._exit(1)
