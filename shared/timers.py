"""Durable timers: armed in the transaction of the change that needs them, fired in a transaction with their effects.

Firing only writes rows and events, so it needs no lease: any number of processes may look for due timers, each row is taken by one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import failpoints, telemetry
from shared.clock import Clock
from shared.db import Database, clinic_of, enter_clinic, is_away
from shared.pausing import pause
from shared.statements import Statement

_BATCH = 100
_POLL_SECONDS = 1.0
_POSTPONE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Timer:
    """Something to do at ``due_at``. Arming a key again replaces its time; ``kind`` names the handler."""

    timer_key: str
    kind: str
    due_at: datetime
    subject_id: UUID


@dataclass(frozen=True, slots=True)
class DueTimer:
    """A timer whose time has come."""

    timer_key: str
    kind: str
    due_at: datetime
    subject_id: UUID
    clinic_id: UUID


TimerHandler = Callable[[AsyncSession, Sequence[DueTimer]], Awaitable[None]]


async def arm(db: AsyncSession, *timers: Timer) -> None:
    """Arm timers of this transaction's clinic, in one statement."""
    if not timers:
        return
    ordered = sorted(timers, key=lambda timer: timer.timer_key)
    await _ARM.rows(
        db,
        keys=[timer.timer_key for timer in ordered],
        kinds=[timer.kind for timer in ordered],
        dues=[timer.due_at for timer in ordered],
        subjects=[timer.subject_id for timer in ordered],
        clinic_id=clinic_of(db),
    )


async def disarm(db: AsyncSession, *timer_keys: str) -> None:
    """Disarm timers that are still armed, in one statement."""
    if timer_keys:
        await db.execute(_DISARM, {"keys": sorted(timer_keys)})


class Timers:
    """Fires due timers of one service. ``now`` is the business clock's, so an accelerated day fires faster."""

    def __init__(self, database: Database, clock: Clock, handlers: Mapping[str, TimerHandler], metrics: telemetry.Metrics) -> None:
        self._database = database
        self._clock = clock
        self._handlers = dict(handlers)
        self._metrics = metrics
        self._log = telemetry.logger("timers", service=database.name)

    async def run(self, stop: asyncio.Event, *, poll_seconds: float = _POLL_SECONDS) -> None:
        """Fire what is due, again and again, until ``stop``."""
        while not stop.is_set():
            fired = 0
            try:
                fired = await self.fire_due()
            except Exception as error:  # noqa: BLE001 - a worker's loop: it must survive and say so
                self._metrics.worker_failures.labels("timers").inc()
                self._log.warning("timers.round_failed", error_class=type(error).__name__, error_place=telemetry.place_of(error))
            if fired < _BATCH:
                await pause(stop, poll_seconds)

    async def fire_due(self) -> int:
        """One round: take up to 100 due timers and run their handlers; returns how many fired."""
        try:
            return await self._round(_BATCH)
        except Exception as error:  # whatever a handler raises is its timer's own: they are fired one by one
            if is_away(error):
                raise
            self._log.error("timers.batch_failed", error_class=type(error).__name__, error_place=telemetry.place_of(error))
            return await self._singly()

    async def _round(self, limit: int) -> int:
        async with self._database.transaction() as db:
            rows = (await db.execute(_DUE, {"now": self._clock.now(), "limit": limit})).mappings().all()
            due = [DueTimer(**row) for row in rows]
            await self._fire(db, due)
            if due:
                failpoints.hit("timers.before_commit")
        if due:
            failpoints.hit("timers.after_commit")
        self._count(due)
        return len(due)

    async def _fire(self, db: AsyncSession, due: Sequence[DueTimer]) -> None:
        for clinic_id, of_clinic in _by_clinic(due).items():
            await enter_clinic(db, clinic_id)
            for kind, run in groupby(of_clinic, key=lambda timer: timer.kind):
                await self._handlers[kind](db, list(run))
            await db.flush()  # before another clinic is entered, whose policy would refuse what the handlers added
        if due:
            await db.execute(_FIRED, {"keys": [timer.timer_key for timer in due], "dues": [timer.due_at for timer in due]})

    async def _singly(self) -> int:
        """One bad timer must not hold up the others: fire one at a time and postpone the one that fails."""
        fired = 0
        for _ in range(_BATCH):
            async with self._database.transaction() as db:
                row = (await db.execute(_DUE, {"now": self._clock.now(), "limit": 1})).mappings().first()
            if row is None:
                break
            fired += await self._fire_or_postpone(DueTimer(**row))
        return fired

    async def _fire_or_postpone(self, timer: DueTimer) -> int:
        try:
            async with self._database.transaction() as db:
                still = (await db.execute(_STILL_DUE, {"key": timer.timer_key, "due_at": timer.due_at})).first()
                fired = [timer] if still else []
                await self._fire(db, fired)
            self._count(fired)
            return len(fired)
        except Exception as error:  # as above: this timer waits, the others go on
            if is_away(error):
                raise
            await self._postpone(timer, error)
            return 0

    def _count(self, fired: Sequence[DueTimer]) -> None:
        for timer in fired:
            self._metrics.timers_fired.labels(timer.kind).inc()

    async def _postpone(self, timer: DueTimer, error: Exception) -> None:
        place = telemetry.place_of(error)
        self._metrics.worker_failures.labels("timer").inc()
        self._log.error("timers.postponed", timer_kind=timer.kind, error_class=type(error).__name__, error_place=place)
        named = {"key": timer.timer_key, "due_at": timer.due_at, "now": self._clock.now(), "seconds": _POSTPONE_SECONDS}
        async with self._database.transaction() as db:
            await db.execute(_POSTPONE, named)


def _by_clinic(due: Sequence[DueTimer]) -> dict[UUID, list[DueTimer]]:
    grouped: dict[UUID, list[DueTimer]] = {}
    for timer in due:
        grouped.setdefault(timer.clinic_id, []).append(timer)
    return grouped


_ARM = Statement(
    """
    INSERT INTO platform.timer (timer_key, kind, due_at, subject_id, clinic_id)
    SELECT key, kind, due_at, subject_id, CAST(:clinic_id AS uuid)
    FROM unnest(CAST(:keys AS text[]), CAST(:kinds AS text[]), CAST(:dues AS timestamptz[]), CAST(:subjects AS uuid[]))
         AS t(key, kind, due_at, subject_id)
    ON CONFLICT (timer_key) DO UPDATE SET due_at = EXCLUDED.due_at, kind = EXCLUDED.kind, state = 'armed', attempts = 0, fired_at = NULL
    """
)
_DISARM = text("UPDATE platform.timer SET state = 'disarmed' WHERE timer_key = ANY(CAST(:keys AS text[])) AND state = 'armed'")
_DUE = text(
    """
    SELECT timer_key, kind, due_at, subject_id, clinic_id FROM platform.timer
    WHERE state = 'armed' AND due_at <= :now ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    """
)
_STILL_DUE = text("SELECT 1 FROM platform.timer WHERE timer_key = :key AND due_at = :due_at AND state = 'armed' FOR UPDATE SKIP LOCKED")
_FIRED = text(
    """
    UPDATE platform.timer t SET state = 'fired', fired_at = now()
    FROM unnest(CAST(:keys AS text[]), CAST(:dues AS timestamptz[])) AS f(key, due_at)
    WHERE t.timer_key = f.key AND t.due_at = f.due_at AND t.state = 'armed'
    """
)
_POSTPONE = text(
    """
    UPDATE platform.timer
    SET attempts = attempts + 1, due_at = CAST(:now AS timestamptz) + make_interval(secs => CAST(:seconds AS int) * (attempts + 1))
    WHERE timer_key = :key AND due_at = :due_at AND state = 'armed'
    """
)
