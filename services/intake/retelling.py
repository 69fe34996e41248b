"""Telling again what a release before did not tell: everybody's once after an upgrade, and what an old replica wrote meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from uuid import UUID

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.clinics.models import ClinicEntry
from services.intake.rounds import Rounds
from shared import telemetry
from shared.clock import Clock
from shared.db import Database

_AT_ONCE = 50
_EVERY_SECONDS = 60.0

Batch = Callable[[AsyncSession, datetime, int], Awaitable[int]]
"""Tells up to so many records of the transaction's clinic that were not told, and marks them; returns how many it found."""


class Retelling:
    """Looks at its start and every minute, clinic by clinic, in transactions of 50; one that is cut off is done again by the next look."""

    def __init__(self, database: Database, clock: Clock, metrics: telemetry.Metrics, batches: Mapping[str, Batch]) -> None:
        self._database = database
        self._clock = clock
        self._batches = batches
        self._log = telemetry.logger("retelling", service=database.name)
        self._rounds = Rounds("retelling", _EVERY_SECONDS, metrics, service=database.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; survives the loss of the database."""
        await self._rounds.run(lambda: self.tell_all(stop), stop)

    async def tell_all(self, stop: asyncio.Event | None = None) -> int:
        """Tell what was not told, of every clinic; returns how much was found."""
        async with self._database.transaction() as db:
            clinics = list(await db.exec(select(ClinicEntry.clinic_id)))
        return sum([await self._tell(clinic_id, name, stop) for clinic_id in clinics for name in self._batches])

    async def _tell(self, clinic_id: UUID, name: str, stop: asyncio.Event | None) -> int:
        count, found = 0, _AT_ONCE
        while found == _AT_ONCE and not (stop and stop.is_set()):
            async with self._database.transaction(clinic_id) as db:
                found = await self._batches[name](db, self._clock.now(), _AT_ONCE)
            count += found
            if found:
                self._log.info("retelling.told", clinic_id=str(clinic_id), reason=name, count=count)
        return count
