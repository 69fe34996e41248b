"""Measuring while a service runs: every few seconds, each part by itself, and when it last worked.

A gauge keeps its last value while what it measures is away. ``afterglow_last_sampled_timestamp_seconds`` tells how old that value is,
so nobody needs to believe it. What is read from the database is the same on every replica: alerts take the maximum.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import time

from shared import telemetry
from shared.pausing import pause

Part = Callable[[], Awaitable[None]]
"""Measures something and sets its gauges; raises when it could not."""

_EVERY_SECONDS = 5.0
_BEAT_SECONDS = 0.5
_BEATS = 20


class Sampling:
    """Measures parts of one service by name."""

    def __init__(self, metrics: telemetry.Metrics, parts: Mapping[str, Part]) -> None:
        self._metrics = metrics
        self._parts = dict(parts)
        self._log = telemetry.logger("sampling", service=metrics.service)
        self._sampled_at = metrics.gauge("afterglow_last_sampled_timestamp_seconds", "When a part was last measured", ("part",))
        self._loop_delay = metrics.gauge("afterglow_event_loop_delay_seconds", "The longest that work had to wait for its turn, of late")
        for part in self._parts:
            self._sampled_at.labels(part).set(0)  # never

    async def run(self, stop: asyncio.Event) -> None:
        """Measure until ``stop``. A part that hangs holds no other up."""
        await asyncio.gather(self._watch_the_loop(stop), *(self._repeat(part, stop) for part in self._parts))

    async def sample(self, part: str) -> None:
        """Measure one part now; a failure is counted and told, and its gauges stay as they were."""
        try:
            await self._parts[part]()
        except Exception as error:  # noqa: BLE001 - measuring must not end the service
            self._metrics.worker_failures.labels("sampling").inc()
            self._log.warning("sampling.not_measured", reason=part, error_class=type(error).__name__)
        else:
            self._sampled_at.labels(part).set(time())

    async def _repeat(self, part: str, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.sample(part)
            await pause(stop, _EVERY_SECONDS)

    async def _watch_the_loop(self, stop: asyncio.Event) -> None:
        """A beat that comes late was held up by something that did not let go of the loop."""
        loop = asyncio.get_running_loop()
        delays = [0.0] * _BEATS
        beat = 0
        while not stop.is_set():
            began = loop.time()
            await pause(stop, _BEAT_SECONDS)
            delays[beat % _BEATS] = max(loop.time() - began - _BEAT_SECONDS, 0.0)
            beat += 1
            self._loop_delay.set(max(delays))
