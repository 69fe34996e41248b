"""What identity does besides requests: register the built-in clients once, then forget old assertions for ever."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import text

from services.intake.identity.commands import forget_used_assertions, register_client
from services.intake.identity.registration import Registration
from services.intake.rounds import Rounds
from shared import telemetry
from shared.clock import Clock
from shared.db import Database

_FORGET_SECONDS = 60.0
_BY = "Installation/settings"
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('built-in clients'))")


class Housekeeping:
    """Runs until told to stop, and survives the loss of the database."""

    def __init__(self, database: Database, clock: Clock, registrations: Sequence[Registration], metrics: telemetry.Metrics) -> None:
        self._database = database
        self._clock = clock
        self._registrations = list(registrations)
        self._rounds = Rounds("identity", _FORGET_SECONDS, metrics, service=database.name)

    def registering(self) -> bool:
        """Whether a client of the settings is still unknown: its key would be refused as a stranger's."""
        return bool(self._registrations)

    async def run(self, stop: asyncio.Event) -> None:
        """Register first, since nobody can do anything before; then keep the table of used assertions small."""
        await self._rounds.run(self._once, stop)

    async def _once(self) -> None:
        await self.register_built_in()
        await forget_used_assertions(self._database)

    async def register_built_in(self) -> None:
        """Bring every client of the settings up to date, each in a transaction of its own. Raises what a registration raises."""
        for registration in self._registrations:
            async with self._database.transaction() as db:
                # Replicas start together and register the same clients: one after the other.
                await db.execute(_ONE_AT_A_TIME)
                await register_client(db, registration, at=self._clock.now(), by=_BY)
        self._registrations.clear()
