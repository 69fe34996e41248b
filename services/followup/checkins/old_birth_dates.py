"""The worker that takes what the release before kept of birth dates out of the links: sealed where a link is open, else gone."""

import asyncio
from uuid import UUID

from sqlmodel import col, select

from services.followup.checkins.birth_dates import NOT_KEPT, BirthDates
from services.followup.checkins.links import seal_birth_date
from services.followup.checkins.models import PatientLink
from services.followup.completeness.queries import clinics
from shared import telemetry
from shared.db import Database
from shared.pausing import pause

_BATCH = 200
_LOOK_SECONDS = 3600.0
"""During an upgrade the release before still writes some."""


class OldBirthDates:
    """Goes through all clinics at the start, and again every hour."""

    def __init__(self, database: Database, birth_dates: BirthDates, metrics: telemetry.Metrics) -> None:
        self._database = database
        self._birth_dates = birth_dates
        self._failures = metrics.worker_failures.labels("old-birth-dates")
        self._log = telemetry.logger("links", service=database.name)

    async def run(self, stop: asyncio.Event, *, poll_seconds: float = _LOOK_SECONDS) -> None:
        """Again and again, until ``stop``."""
        while not stop.is_set():
            wait = poll_seconds
            try:
                await self.seal_all()
            except Exception as error:  # noqa: BLE001 - a worker's loop: it must survive and say so
                self._failures.inc()
                self._log.warning("links.sealing_failed", error_class=type(error).__name__, error_place=telemetry.place_of(error))
                wait = min(poll_seconds, 5.0)
            await pause(stop, wait)

    async def seal_all(self) -> None:
        """Every link of every clinic that still has what the release before kept."""
        async with self._database.transaction() as db:
            known = await clinics(db)
        for clinic_id in known:
            while await self._seal_some(clinic_id):
                pass

    async def _seal_some(self, clinic_id: UUID) -> int:
        async with self._database.transaction(clinic_id) as db:
            old = select(PatientLink).where(PatientLink.clinic_id == clinic_id, col(PatientLink.birth_date_salt) != NOT_KEPT)
            links = list((await db.exec(old.limit(_BATCH).with_for_update(skip_locked=True))).all())
            for link in links:
                seal_birth_date(link, self._birth_dates)
        return len(links)
