"""The worker that looks for work of people who may not have it: what the release before left, and what it misses during an upgrade.

After that it finds nothing: whoever leaves or loses a role loses the work in the transaction that stores it. What it finds is counted.
"""

import asyncio

from services.followup.completeness.queries import clinics
from services.followup.tasks import owners
from services.followup.tasks.policy import TASK_POLICY
from shared import telemetry
from shared.clock import Clock
from shared.db import Database
from shared.documents.in_force import Documents
from shared.pausing import pause

_LOOK_SECONDS = 300.0


class Leavers:
    """Goes through all clinics at the start, and again every five minutes."""

    def __init__(self, database: Database, clock: Clock, documents: Documents, metrics: telemetry.Metrics) -> None:
        self._database, self._clock, self._documents = database, clock, documents
        self._failures = metrics.worker_failures.labels("leavers")
        self._released = metrics.counter(
            "afterglow_tasks_of_leavers_total", "Tasks found with somebody who may not have them, and released"
        )
        self._log = telemetry.logger("tasks", service=database.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Again and again, until ``stop``."""
        while not stop.is_set():
            wait = _LOOK_SECONDS
            try:
                await self.release_all()
            except Exception as error:  # noqa: BLE001 - a worker's loop: it must survive and say so
                self._failures.inc()
                self._log.warning("tasks.release_failed", error_class=type(error).__name__, error_place=telemetry.place_of(error))
                wait = 5.0
            await pause(stop, wait)

    async def release_all(self) -> int:
        """Release what people of any clinic have and may not have. Returns how many tasks that were."""
        async with self._database.transaction() as db:
            known = await clinics(db)
        found = 0
        for clinic_id in known:
            async with self._database.transaction(clinic_id) as db:
                policy = await self._documents.in_force(db, TASK_POLICY, self._clock.now())
                people = await owners.who_may_not(db, policy)
                found += await owners.release(db, policy, dict.fromkeys(people), self._clock.now()) if people else 0
        self._released.inc(found)
        return found
