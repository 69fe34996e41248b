"""What a worker of this service does again and again."""

import asyncio
from collections.abc import Awaitable, Callable

from shared import telemetry
from shared.db import is_away
from shared.pausing import pause

_RETRY_SECONDS = 1.0


class Rounds:
    """Now and every so many seconds; after the loss of the database soon again."""

    def __init__(self, worker: str, every_seconds: float, metrics: telemetry.Metrics, service: str) -> None:
        self._worker = worker
        self._every_seconds = every_seconds
        self._failures = metrics.worker_failures.labels(worker)
        self._log = telemetry.logger(worker, service=service)

    async def run(self, once: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
        """Until told to stop. Raises whatever is no loss of the database."""
        while not stop.is_set():
            await pause(stop, await self._wait_after(once))

    async def _wait_after(self, once: Callable[[], Awaitable[object]]) -> float:
        try:
            await once()
        except Exception as error:
            if not is_away(error):
                raise
            self._failures.inc()
            self._log.warning(f"{self._worker}.database_away", error_class=type(error).__name__)
            return _RETRY_SECONDS
        return self._every_seconds
