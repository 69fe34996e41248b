"""Comparing what sessions says with what is here, and writing down, asking for and settling the gaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.completeness.models import RunOutcome
from services.followup.completeness.rules import Ended, Known, missing, wait_after
from services.followup.sessions_client import EndedInfusion
from shared.db import clinic_of
from shared.events.followup import InfusionEventRequested
from shared.outbox import emit

_VOID = "entered-in-error"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait before the same event is asked for again: business time."""

    first: timedelta = timedelta(minutes=2)
    longest: timedelta = timedelta(hours=1)

    def after(self, times_asked: int) -> timedelta:
        """Longer each time, up to a limit."""
        return wait_after(times_asked, self.first, self.longest)


@dataclass(frozen=True, slots=True)
class Compared:
    """How many infusions were looked at, how many lack something, how many were asked for."""

    infusions: int
    gaps: int
    asked: int

    def __add__(self, other: "Compared") -> "Compared":
        return Compared(self.infusions + other.infusions, self.gaps + other.gaps, self.asked + other.asked)


async def compare(db: AsyncSession, ended: Sequence[EndedInfusion], now: datetime, patience: Patience) -> Compared:
    """Find what these infusions lack, write it down, settle what is whole again, and ask for the events of those whose turn it is."""
    known = await _known(db, [one.infusion_id for one in ended])
    gaps = {one.infusion_id: missing(_ended(one), known.get(one.infusion_id)) for one in ended}
    await _settle(db, [infusion_id for infusion_id, lacking in gaps.items() if not lacking], now)
    lacking = [one for one in ended if gaps[one.infusion_id]]
    asked = await _write_down(db, lacking, gaps, now)
    for one in lacking:
        if one.infusion_id in asked:
            emit(db, InfusionEventRequested(occurred_at=now, infusion_id=one.infusion_id, patient_id=one.patient_id))
    await _note_asked(db, {infusion_id: now + patience.after(times) for infusion_id, times in asked.items()}, now)
    return Compared(len(ended), len(lacking), len(asked))


async def oldest_open_gap(db: AsyncSession) -> datetime | None:
    """When the longest missing infusion ended: a look goes back at least that far."""
    oldest = (await db.execute(_OLDEST, {"clinic_id": clinic_of(db)})).scalar_one()
    return None if oldest is None else cast("datetime", oldest)


async def note_run(
    db: AsyncSession, *, now: datetime, window: tuple[datetime, datetime], outcome: RunOutcome, compared: int, gaps: int
) -> None:
    """Remember the last look at this clinic."""
    parameters = {
        "now": now,
        "window_from": window[0],
        "window_to": window[1],
        "outcome": outcome.value,
        "compared": compared,
        "gaps": gaps,
    }
    await db.execute(_RUN, {**parameters, "clinic_id": clinic_of(db)})


def _ended(one: EndedInfusion) -> Ended:
    return Ended(one.infusion_id, one.version, one.drug_given, one.outcome == _VOID)


async def _known(db: AsyncSession, infusion_ids: Sequence[UUID]) -> dict[UUID, Known]:
    rows = await db.execute(_KNOWN, {"clinic_id": clinic_of(db), "ids": list(infusion_ids)})
    return {row.infusion_id: Known(row.version, row.state == _VOID, row.has_plan, frozenset(row.codes)) for row in rows}


async def _settle(db: AsyncSession, infusion_ids: Sequence[UUID], now: datetime) -> None:
    if infusion_ids:
        await db.execute(_SETTLE, {"clinic_id": clinic_of(db), "ids": list(infusion_ids), "now": now})


async def _write_down(
    db: AsyncSession, lacking: Sequence[EndedInfusion], gaps: Mapping[UUID, Sequence[str]], now: datetime
) -> dict[UUID, int]:
    """Write gaps down; returns those to be asked for now, with how often they were before. Another process that looks too waits here.

    Of a patient whose events wait in the car park none is asked for: it is most likely there, and would only wait behind the others.
    Those that only wait for one that never came are asked for, since it comes with the answer.
    """
    if not lacking:
        return {}
    parameters = {
        "clinic_id": clinic_of(db),
        "now": now,
        "ids": [one.infusion_id for one in lacking],
        "patients": [one.patient_id for one in lacking],
        "ended": [one.ended_at for one in lacking],
        "missing": [" ".join(gaps[one.infusion_id]) for one in lacking],
    }
    rows = await db.execute(_WRITE_DOWN, parameters)
    return {row.infusion_id: row.times_asked for row in rows if row.ask_again_at <= now and not row.waits}


async def _note_asked(db: AsyncSession, again: Mapping[UUID, datetime], now: datetime) -> None:
    if again:
        parameters = {"clinic_id": clinic_of(db), "ids": list(again), "again": list(again.values()), "now": now}
        await db.execute(_ASKED, parameters)


_KNOWN = text(
    """
    SELECT i.infusion_id, i.version, i.state, p.plan_id IS NOT NULL AS has_plan,
           ARRAY(SELECT t.kind FROM care_task t
                 WHERE t.clinic_id = i.clinic_id AND t.infusion_id = i.infusion_id AND t.focus_kind = 'Infusion')
           || ARRAY(SELECT c.code FROM check_in c WHERE c.clinic_id = i.clinic_id AND c.infusion_id = i.infusion_id) AS codes
    FROM infusion i LEFT JOIN plan p ON p.clinic_id = i.clinic_id AND p.infusion_id = i.infusion_id
    WHERE i.clinic_id = CAST(:clinic_id AS uuid) AND i.infusion_id = ANY(CAST(:ids AS uuid[]))
    """
)
_WRITE_DOWN = text(
    """
    INSERT INTO completeness_gap AS known (clinic_id, infusion_id, patient_id, ended_at, missing, first_seen_at, last_seen_at, times_asked,
                                           ask_again_at)
    SELECT CAST(:clinic_id AS uuid), infusion_id, patient_id, ended_at, string_to_array(missing, ' '), :now, :now, 0, :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:patients AS uuid[]), CAST(:ended AS timestamptz[]), CAST(:missing AS text[]))
         AS given(infusion_id, patient_id, ended_at, missing) ORDER BY infusion_id
    ON CONFLICT (clinic_id, infusion_id) DO UPDATE
    SET missing = EXCLUDED.missing, last_seen_at = EXCLUDED.last_seen_at, resolved_at = NULL,
        first_seen_at = CASE WHEN known.resolved_at IS NULL THEN known.first_seen_at ELSE EXCLUDED.first_seen_at END,
        times_asked = CASE WHEN known.resolved_at IS NULL THEN known.times_asked ELSE 0 END,
        ask_again_at = CASE WHEN known.resolved_at IS NULL THEN known.ask_again_at ELSE EXCLUDED.ask_again_at END
    RETURNING infusion_id, times_asked, ask_again_at, EXISTS (
        SELECT FROM platform.parked p
        WHERE p.consumer = 'followup' AND p.key = known.patient_id::text AND p.state = 'parked' AND p.blocks_key
          AND p.reason <> 'sequence-gap' AND (p.reason <> 'flood' OR p.topic = 'sessions.events')
    ) AS waits
    """
)
_ASKED = text(
    """
    UPDATE completeness_gap g SET times_asked = times_asked + 1, asked_at = :now, ask_again_at = n.again
    FROM unnest(CAST(:ids AS uuid[]), CAST(:again AS timestamptz[])) AS n(infusion_id, again)
    WHERE g.clinic_id = CAST(:clinic_id AS uuid) AND g.infusion_id = n.infusion_id
    """
)
_SETTLE = text(
    """
    UPDATE completeness_gap SET resolved_at = :now
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND infusion_id = ANY(CAST(:ids AS uuid[])) AND resolved_at IS NULL
    """
)
_OLDEST = text("SELECT min(ended_at) FROM completeness_gap WHERE clinic_id = CAST(:clinic_id AS uuid) AND resolved_at IS NULL")
_RUN = text(
    """
    INSERT INTO completeness_run (clinic_id, ran_at, window_from, window_to, outcome, compared, gaps)
    VALUES (CAST(:clinic_id AS uuid), :now, :window_from, :window_to, :outcome, :compared, :gaps)
    ON CONFLICT (clinic_id) DO UPDATE
    SET ran_at = EXCLUDED.ran_at, window_from = EXCLUDED.window_from, window_to = EXCLUDED.window_to, outcome = EXCLUDED.outcome,
        compared = EXCLUDED.compared, gaps = EXCLUDED.gaps
    """
)
