"""Thousands of events about one patient: the others' follow-up goes on, and the patient's own comes later, whole and in order."""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from shared.db import Database
from shared.draining import Draining
from shared.events import Event
from shared.kept import record_of
from shared.local import LocalBus
from shared.outbox import Relay, emit, outgoing_of
from shared.service import Service
from shared.telemetry import Metrics
from tests.benchmarks.recording import noted
from tests.followup.clinic import Clinic, Visit
from tests.followup.conftest import asked, built
from tests.support.databases import Databases
from tests.support.waiting import eventually

MINUTE = timedelta(minutes=1)
FLOOD = int(os.environ.get("AFTERGLOW_FLOOD", "400"))
"""``make bench FLOOD=1`` takes ten thousand and says what was measured."""
USUAL, SAMPLES, SLACK_SECONDS = 20, 300, 2.0


def ended(visit: Visit, number: int, count: int) -> Event:
    """The infusions of a faulty import, a minute apart."""
    return replace(visit, infusion_id=uuid4()).told(
        pump_ended_at=visit.clock.now() - MINUTE * (count - number) - timedelta(hours=1), first_of_course=number == 0
    )


@dataclass
class Sessions:
    """Sessions as far as its outbox and relay go."""

    database: Database
    clinic_id: UUID

    async def tell(self, *events: Event) -> None:
        async with self.database.transaction(self.clinic_id) as db:
            for event in events:
                emit(db, event)


@asynccontextmanager
async def followed(databases: Databases, folder: Path) -> AsyncIterator[tuple[Sessions, Clinic, Service]]:
    """Followup at work in this process, with a relay of sessions before it."""
    async with built(databases, folder) as service, asked(service) as http, databases.clone("sessions") as url:
        clinic = Clinic(service, http, service.clock)  # type: ignore[arg-type]  # built on a frozen one
        await clinic.open()
        sessions = Sessions(Database(url, name="sessions"), clinic.clinic_id)
        assert isinstance(service.bus, LocalBus)
        await service.bus.catch_up(sessions.database, "sessions.events")
        relay, stop = Relay(url, service.bus, service="sessions", metrics=Metrics("sessions")), asyncio.Event()
        sessions.database.on_commit.append(relay.wake)
        async with service.running():
            relaying = asyncio.create_task(relay.run(stop))
            yield sessions, clinic, service
            stop.set()
            await relaying
        await sessions.database.close()


async def delay(sessions: Sessions, clinic: Clinic) -> float:
    """Seconds from the end of another patient's infusion to its plan."""
    visit = clinic.visit()
    began = time.perf_counter()
    await sessions.tell(visit.told())

    async def planned() -> bool:
        return bool(await clinic.rows("SELECT 1 FROM plan WHERE infusion_id = :id", id=visit.infusion_id))

    await eventually(planned, within=60)
    return time.perf_counter() - began


async def plans_of(clinic: Clinic, visit: Visit) -> int:
    [found] = await clinic.rows("SELECT count(*) AS plans FROM plan WHERE patient_id = :id", id=visit.patient_id)
    return int(found["plans"])


@pytest.mark.timeout(1800)
async def test_other_patients_follow_up_keeps_its_delay_while_one_patients_flood_passes(
    databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with followed(databases, tmp_path) as (sessions, clinic, _):
        usual = [await delay(sessions, clinic) for _ in range(USUAL)]
        flooded = clinic.visit()
        for start in range(0, FLOOD, 200):
            await sessions.tell(*(ended(flooded, number, FLOOD) for number in range(start, min(start + 200, FLOOD))))
        meanwhile, left = list[float](), FLOOD
        while left and len(meanwhile) < SAMPLES:
            meanwhile.append(await delay(sessions, clinic))
            left = FLOOD - await plans_of(clinic, flooded)
        with capsys.disabled():
            if FLOOD > 1000:
                print(told(usual, meanwhile, left))  # noqa: T201 - what make bench is asked for
        assert meanwhile[0] < SLACK_SECONDS, "whoever ends while the flood comes in is followed up at once"
        assert statistics.median(meanwhile) < SLACK_SECONDS
        await eventually(lambda: plans_of(clinic, flooded), lambda plans: plans == FLOOD, within=900)
        assert await clinic.rows("SELECT 1 FROM platform.parked WHERE state = 'parked'") == []


def told(usual: Sequence[float], meanwhile: Sequence[float], left: int) -> str:
    """Others' seconds from the end of an infusion to its plan, before the flood and while it passes."""
    before, beside, longest, first = (
        round(seconds * 1000) for seconds in (statistics.median(usual), statistics.median(meanwhile), max(meanwhile), meanwhile[0])
    )
    return (
        f"\n{FLOOD} infusions of one patient. From another's end to its plan, ms: median {before} before and {beside} beside it (ratio"
        f" {beside / before:.2f}), the first {first}, the longest of {len(meanwhile)} {longest}; {left} were still to be followed up"
    )


async def test_the_surplus_of_a_flood_costs_a_handful_of_statements_a_chunk(databases: Databases, tmp_path: Path) -> None:
    async with built(databases, tmp_path) as service, asked(service) as http, databases.clone("sessions") as url:
        clinic = Clinic(service, http, service.clock)  # type: ignore[arg-type]  # built on a frozen one
        await clinic.open()
        sessions, flooded, number = Sessions(Database(url, name="sessions"), clinic.clinic_id), clinic.visit(), 200
        assert service.inbox is not None
        await sessions.tell(*(ended(flooded, n, number) for n in range(number)))
        async with sessions.database.transaction() as db:
            told = [record_of(outgoing_of(row, source="/sessions")) for row in (await db.execute(_TOLD)).mappings()]
        await sessions.database.close()
        with noted(service.database.engine) as transactions:
            for start in range(0, number, 50):
                await service.inbox.handle(told[start : start + 50])
        bound = service.settings.events_of_a_key_in_a_minute
        assert await plans_of(clinic, flooded) == bound
        assert len(transactions[-1].statements) <= SURPLUS_STATEMENTS, [one.sql[:40] for one in transactions[-1].statements]
        draining = Draining(service.inbox, rest=0)
        while await draining.round():
            pass
        assert await plans_of(clinic, flooded) == number


SURPLUS_STATEMENTS = 6
"""The claim, whose the key is, what holds it up, and the parking; two more to begin and to look for places that are taken."""
_TOLD = text("SELECT * FROM platform.event_log ORDER BY seq")
