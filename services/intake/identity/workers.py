"""What identity does besides requests: register the built-in clients once, then forget old assertions for ever."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import text

from services.intake.identity.commands import forget_used_assertions, register_client
from services.intake.identity.registration import Registration
from shared import telemetry
from shared.clock import Clock
from shared.db import Database, is_away
from shared.pausing import pause

_FORGET_SECONDS = 60.0
_RETRY_SECONDS = 1.0
_BY = "Installation/settings"
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('built-in clients'))")


class Housekeeping:
    """Runs until told to stop, and survives the loss of the database."""

    def __init__(self, database: Database, clock: Clock, registrations: Sequence[Registration], metrics: telemetry.Metrics) -> None:
        self._database = database
        self._clock = clock
        self._registrations = list(registrations)
        self._metrics = metrics
        self._log = telemetry.logger("identity", service=database.name)

    def registering(self) -> bool:
        """Whether a client of the settings is still unknown: its key would be refused as a stranger's."""
        return bool(self._registrations)

    async def run(self, stop: asyncio.Event) -> None:
        """Register first, since nobody can do anything before; then keep the table of used assertions small."""
        while not stop.is_set():
            try:
                await self.register_built_in()
                await forget_used_assertions(self._database)
                wait = _FORGET_SECONDS
            except Exception as error:
                if not is_away(error):
                    raise
                self._metrics.worker_failures.labels("identity").inc()
                self._log.warning("identity.database_away", error_class=type(error).__name__)
                wait = _RETRY_SECONDS
            await pause(stop, wait)

    async def register_built_in(self) -> None:
        """Bring every client of the settings up to date, each in a transaction of its own. Raises what a registration raises."""
        for registration in self._registrations:
            async with self._database.transaction() as db:
                # Replicas start together and register the same clients: one after the other.
                await db.execute(_ONE_AT_A_TIME)
                await register_client(db, registration, at=self._clock.now(), by=_BY)
        self._registrations.clear()
