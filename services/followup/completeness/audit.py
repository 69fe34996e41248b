"""The worker that looks, clinic by clinic, whether every ended infusion has its follow-up, and has what is missing told again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from time import time
from typing import Protocol
from uuid import UUID

from services.followup.completeness import commands, queries
from services.followup.completeness.commands import Compared, Patience
from services.followup.completeness.models import RunOutcome
from services.followup.sessions_client import EndedInfusion
from shared import telemetry
from shared.clock import Clock
from shared.db import Database
from shared.errors import Unavailable


class Sessions(Protocol):
    """Where ended infusions are asked for, page by page. Raises Unavailable when there is no answer."""

    def ended_infusions(self, clinic_id: UUID, ended_from: datetime, ended_to: datetime) -> AsyncIterator[list[EndedInfusion]]: ...


class Auditor:
    """Looks at what ended or was corrected between ``look_back`` and ``grace`` before now, in business time.

    It reaches further back to what has never been compared, after an outage, and to what is missing. It looks every ``every_seconds`` of
    real time.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        sessions: Sessions,
        metrics: telemetry.Metrics,
        *,
        every_seconds: float,
        look_back: timedelta,
        grace: timedelta,
        patience: Patience | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._sessions = sessions
        self._every_seconds = every_seconds
        self._look_back = look_back
        self._grace = grace
        self._patience = patience or Patience()
        self._wanted = asyncio.Event()
        self._log = telemetry.logger("completeness", service=database.name)
        self._failures = metrics.worker_failures.labels("completeness")
        self._gaps = metrics.gauge("afterglow_completeness_gaps", "Ended infusions without their full follow-up at the last look")
        self._away = metrics.gauge("afterglow_completeness_clinics_not_compared", "Clinics that could not be compared at the last look")
        self._last = metrics.gauge("afterglow_completeness_last_audit_timestamp_seconds", "When all clinics were last compared")
        self._asked = metrics.counter("afterglow_completeness_asked_total", "Events asked for again")

    def ask(self) -> None:
        """Have the next look begin now, or as soon as the one under way has ended."""
        self._wanted.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again until ``stop``."""
        while not stop.is_set():
            self._wanted.clear()
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - a worker's loop: it must survive and say so
                self._failures.inc()
                self._log.warning("completeness.round_failed", error_class=type(error).__name__, error_place=telemetry.place_of(error))
            await self._rest(stop)

    async def _rest(self, stop: asyncio.Event) -> None:
        """Until it is time, or somebody asks, or it is over."""
        waking = [asyncio.create_task(event.wait()) for event in (stop, self._wanted)]
        await asyncio.wait(waking, timeout=self._every_seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waking:
            task.cancel()

    async def look(self) -> Compared:
        """One look at every clinic that is known here."""
        total, away = Compared(0, 0, 0), 0
        for clinic_id in await self._clinics():
            compared = await self._look_at(clinic_id)
            if compared is None:
                away += 1
            else:
                total += compared
        self._gaps.set(total.gaps)
        self._away.set(away)
        if not away:
            self._last.set(time())
        self._asked.inc(total.asked)
        return total

    async def _clinics(self) -> list[UUID]:
        async with self._database.transaction() as db:
            return await queries.clinics(db)

    async def _look_at(self, clinic_id: UUID) -> Compared | None:
        """Compare one clinic; None when sessions did not answer. Sessions is asked outside of transactions."""
        now = self._clock.now()
        async with self._database.transaction(clinic_id) as db:
            unsettled = (await commands.oldest_open_gap(db), await queries.compared_until(db))
        window = (min(filter(None, (*unsettled, now - self._look_back))), now - self._grace)
        total, outcome = Compared(0, 0, 0), RunOutcome.COMPARED
        try:
            async for page in self._sessions.ended_infusions(clinic_id, *window):
                async with self._database.transaction(clinic_id) as db:
                    total += await commands.compare(db, page, now, self._patience)
        except Unavailable:
            outcome = RunOutcome.SESSIONS_AWAY
            self._log.warning("completeness.sessions_away", clinic_id=str(clinic_id))
        async with self._database.transaction(clinic_id) as db:
            await commands.note_run(db, now=now, window=window, outcome=outcome, compared=total.infusions, gaps=total.gaps)
        return total if outcome is RunOutcome.COMPARED else None
