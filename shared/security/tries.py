"""Wrong tries at something secret, counted in this process's memory: after a few, each further one has to wait longer."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass


@dataclass(slots=True)
class _Count:
    wrong: int
    last: float
    free_at: float


class Tries:
    """``free`` wrong tries cost nothing; each further one doubles the wait, from a second up to ``longest_seconds``.

    What is quiet for four times the longest wait is forgotten, and so is the oldest where there are more than ``keys_at_most``. In
    real time, for whoever tries does not live in the clinic's.
    """

    def __init__(
        self, *, free: int, longest_seconds: float = 300.0, keys_at_most: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._free = free
        self._longest = longest_seconds
        self._keys_at_most = keys_at_most
        self._clock = clock
        self._counts: OrderedDict[Hashable, _Count] = OrderedDict()

    def wait(self, *keys: Hashable) -> float:
        """The seconds for which wrong tries under any of these keys are not answered yet; 0 where they are."""
        now = self._clock()
        return max(0.0, *(count.free_at - now for key in keys if (count := self._counts.get(key)) is not None), 0.0)

    def wrong(self, *keys: Hashable) -> None:
        """Count one more wrong try under each key."""
        now = self._clock()
        for key in keys:
            known = self._counts.pop(key, None)
            wrong = 1 if known is None or now - known.last > 4 * self._longest else known.wrong + 1
            self._counts[key] = _Count(wrong, now, now + self._pause(wrong))
        while len(self._counts) > self._keys_at_most:
            self._counts.popitem(last=False)

    def right(self, *keys: Hashable) -> None:
        """Forget what was wrong before."""
        for key in keys:
            self._counts.pop(key, None)

    def _pause(self, wrong: int) -> float:
        beyond = wrong - self._free
        return 0.0 if beyond < 0 else min(self._longest, 2.0 ** min(beyond, 30))
