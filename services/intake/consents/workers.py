"""Telling how consent stands where nobody has: after an upgrade of everybody, and of what a replica of the release before wrote."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlmodel import select

from services.intake.clinics.models import ClinicEntry
from services.intake.consents.commands import tell
from services.intake.consents.rules import ConsentType
from services.intake.patients.queries import get_patient
from shared import telemetry
from shared.clock import Clock
from shared.db import Database, is_away
from shared.pausing import pause

_BATCH = 50
_EVERY_SECONDS = 60.0
_RETRY_SECONDS = 1.0
_Place = tuple[UUID, str]
_START: _Place = (UUID(int=0), "")


class Standings:
    """Looks at its start and every minute, clinic by clinic, in transactions of 50; one that is cut off is done again by the next look."""

    def __init__(self, database: Database, clock: Clock, metrics: telemetry.Metrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._log = telemetry.logger("consents", service=database.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; survives the loss of the database."""
        while not stop.is_set():
            try:
                await self.tell_all(stop)
                wait = _EVERY_SECONDS
            except Exception as error:
                if not is_away(error):
                    raise
                self._metrics.worker_failures.labels("consents").inc()
                self._log.warning("consents.database_away", error_class=type(error).__name__)
                wait = _RETRY_SECONDS
            await pause(stop, wait)

    async def tell_all(self, stop: asyncio.Event | None = None) -> int:
        """Tell what was not told, of every clinic; returns how much it was."""
        async with self._database.transaction() as db:
            clinics = list(await db.exec(select(ClinicEntry.clinic_id)))
        return sum([await self._tell_clinic(clinic_id, stop) for clinic_id in clinics])

    async def _tell_clinic(self, clinic_id: UUID, stop: asyncio.Event | None) -> int:
        count, after = 0, _START
        while not (stop and stop.is_set()):
            told, places = await self._tell_batch(clinic_id, after)
            count += told
            if told:
                self._log.info("consents.standings_told", clinic_id=str(clinic_id), count=count)
            if len(places) < _BATCH:
                break
            after = places[-1]
        return count

    async def _tell_batch(self, clinic_id: UUID, after: _Place) -> tuple[int, Sequence[_Place]]:
        async with self._database.transaction(clinic_id) as db:
            found = await db.execute(_UNTOLD, {"clinic_id": clinic_id, "patient_id": after[0], "type": after[1], "limit": _BATCH})
            places: list[_Place] = [(row.patient_id, row.consent_type) for row in found]
            told = 0
            for patient_id, consent_type in places:
                await get_patient(db, patient_id, lock=True)
                told += await tell(db, patient_id, ConsentType(consent_type), self._clock.now())
        return told, places


_UNTOLD = text(
    """
    SELECT c.patient_id, c.consent_type FROM consent c
    LEFT JOIN consent_standing s ON s.clinic_id = c.clinic_id AND s.patient_id = c.patient_id AND s.consent_type = c.consent_type
    WHERE c.clinic_id = CAST(:clinic_id AS uuid) AND (c.patient_id, c.consent_type) > (CAST(:patient_id AS uuid), CAST(:type AS varchar))
    GROUP BY c.patient_id, c.consent_type, s.facts
    HAVING count(*) + count(c.revoked_at) IS DISTINCT FROM s.facts
    ORDER BY c.patient_id, c.consent_type LIMIT :limit
    """
)
