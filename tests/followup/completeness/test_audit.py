"""The audit finds what never arrived, asks for it with patience, and says what it found."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from services.followup.completeness.audit import Auditor
from services.followup.completeness.commands import Compared, Patience, compare
from services.followup.sessions_client import EndedInfusion
from shared.errors import Unavailable
from shared.events import sessions as infusions
from shared.telemetry import Metrics
from tests.followup.clinic import COORDINATOR, Clinic, Json, Statements, Visit
from tests.support.waiting import eventually


@dataclass
class Told:
    """Sessions as the audit sees it: what has ended, in pages of two; ``away`` makes it not answer."""

    ended: dict[UUID, list[EndedInfusion]] = field(default_factory=dict)
    away: bool = False
    windows: list[tuple[UUID, datetime, datetime]] = field(default_factory=list)

    def add(self, clinic: Clinic, visit: Visit, *, version: int = 4, ago: timedelta = timedelta(hours=1), **facts: object) -> None:
        at = clinic.clock.now() - ago
        known = {"outcome": "completed", "drug_given": True, **facts}
        one = EndedInfusion.model_validate(
            {
                "infusion_id": visit.infusion_id,
                "patient_id": visit.patient_id,
                "version": version,
                "pump_ended_at": at,
                "ended_at": at,
                **known,
            }
        )
        others = [other for other in self.ended.get(clinic.clinic_id, []) if other.infusion_id != visit.infusion_id]
        self.ended[clinic.clinic_id] = [*others, one]

    async def ended_infusions(self, clinic_id: UUID, ended_from: datetime, ended_to: datetime) -> AsyncIterator[list[EndedInfusion]]:
        self.windows.append((clinic_id, ended_from, ended_to))
        if self.away:
            raise Unavailable
        found = [one for one in self.ended.get(clinic_id, []) if ended_from <= one.ended_at < ended_to]
        for start in range(0, len(found), 2):
            yield found[start : start + 2]

    def last_window(self, clinic: Clinic) -> tuple[datetime, datetime]:
        """From when to when this clinic was asked about last; others are as well."""
        return next((begin, end) for clinic_id, begin, end in reversed(self.windows) if clinic_id == clinic.clinic_id)


@pytest.fixture
def sessions() -> Told:
    return Told()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("followup")


@pytest.fixture
def auditor(clinic: Clinic, sessions: Told, metrics: Metrics) -> Auditor:
    return Auditor(
        clinic.database,
        clinic.clock,
        sessions,
        metrics,
        every_seconds=0.01,
        look_back=timedelta(days=7),
        grace=timedelta(minutes=2),
    )


async def asked_for(clinic: Clinic) -> list[str]:
    """Infusions whose events were asked for, in order."""
    rows = await clinic.rows(
        """SELECT data FROM platform.event_log WHERE type = 'followup.infusion.event-requested.v1' AND clinic_id = :id ORDER BY seq""",
        id=clinic.clinic_id,
    )
    return [json.loads(row["data"])["infusion_id"] for row in rows]


async def shown(clinic: Clinic) -> Json:
    answer = await clinic.get("completeness", None)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_an_event_that_never_arrived_is_found_and_asked_for(
    clinic: Clinic, sessions: Told, auditor: Auditor, metrics: Metrics
) -> None:
    there, lost = clinic.visit(), clinic.visit()
    await clinic.tell(there.told())
    for visit in (there, lost):
        sessions.add(clinic, visit)
    await auditor.look()
    assert await asked_for(clinic) == [str(lost.infusion_id)]
    found = await shown(clinic)
    [gap] = found["items"]
    assert (gap["infusion_id"], gap["missing"], gap["times_asked"]) == (str(lost.infusion_id), ["event"], 1)
    assert (found["last_run"]["compared"], found["last_run"]["gaps"], found["last_run"]["outcome"]) == (2, 1, "compared")
    assert metrics.registry.get_sample_value("afterglow_completeness_gaps") == 1


async def test_what_waits_in_the_car_park_is_missing_and_not_asked_for(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    waiting = clinic.visit()
    await clinic.rows(_PARK, key=str(waiting.patient_id))
    sessions.add(clinic, waiting)
    await auditor.look()
    assert await asked_for(clinic) == []
    [gap] = (await shown(clinic))["items"]
    assert (gap["infusion_id"], gap["times_asked"]) == (str(waiting.infusion_id), 0)
    await clinic.rows("UPDATE platform.parked SET state = 'resolved' RETURNING 1")
    await auditor.look()
    assert await asked_for(clinic) == [str(waiting.infusion_id)]


async def test_what_waits_for_an_event_that_never_came_is_asked_for(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    waiting = clinic.visit()
    await clinic.rows(_PARK.replace("0, 0, :key", "0, 1, :key").replace("'poison'", "'sequence-gap'"), key=str(waiting.patient_id))
    sessions.add(clinic, waiting)
    await auditor.look()
    assert await asked_for(clinic) == [str(waiting.infusion_id)]


async def test_a_flood_of_what_intake_tells_keeps_no_infusion_from_being_asked_for(
    clinic: Clinic, sessions: Told, auditor: Auditor
) -> None:
    flooded, waiting = clinic.visit(), clinic.visit()
    of_intake = _PARK.replace("'sessions.events', 0, 0", "'intake.events', 0, 2").replace("'poison'", "'flood'")
    await clinic.rows(of_intake, key=str(flooded.patient_id))
    await clinic.rows(_PARK.replace("0, 0, :key", "0, 3, :key").replace("'poison'", "'flood'"), key=str(waiting.patient_id))
    for visit in (flooded, waiting):
        sessions.add(clinic, visit)
    await auditor.look()
    assert await asked_for(clinic) == [str(flooded.infusion_id)]


_PARK = """
    INSERT INTO platform.parked (consumer, topic, partition, "offset", key, blocks_key, headers, reason, error_class)
    VALUES ('followup', 'sessions.events', 0, 0, :key, true, '[]', 'poison', 'ValueError') RETURNING parked_id
"""


async def test_a_gap_is_settled_once_the_event_is_told_again(clinic: Clinic, sessions: Told, auditor: Auditor, metrics: Metrics) -> None:
    lost = clinic.visit()
    sessions.add(clinic, lost)
    await auditor.look()
    await clinic.tell(lost.told())
    await auditor.look()
    assert (await shown(clinic))["items"] == []
    assert metrics.registry.get_sample_value("afterglow_completeness_gaps") == 0
    [gap] = await clinic.rows("SELECT resolved_at FROM completeness_gap")
    assert gap["resolved_at"] == clinic.clock.now()


async def test_what_was_called_off_counts_as_there(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    late = clinic.visit()
    await clinic.tell(late.told(pump_ended_at=clinic.clock.now() - timedelta(days=5)))
    sessions.add(clinic, late)
    await auditor.look()
    assert (await shown(clinic))["items"] == []


async def test_a_correction_that_never_arrived_is_found_by_its_version(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(version=4))
    sessions.add(clinic, visit, version=5)
    await auditor.look()
    [gap] = (await shown(clinic))["items"]
    assert gap["missing"] == ["event"]
    await clinic.tell(visit.told(infusions.InfusionAmended, 5))
    await auditor.look()
    assert (await shown(clinic))["items"] == []


async def test_every_outcome_of_an_infusion_is_whole_as_it_is_made(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    for kind in (infusions.InfusionStoppedEarly, infusions.InfusionLeftAgainstAdvice, infusions.InfusionTransferred):
        visit = clinic.visit()
        await clinic.tell(visit.told(kind))
        sessions.add(clinic, visit)
    nothing = clinic.visit()
    await clinic.tell(nothing.told(infusions.InfusionStoppedEarly, drug_given=False))
    sessions.add(clinic, nothing, drug_given=False)
    error = clinic.visit()
    await clinic.tell(error.told(), error.told(infusions.InfusionEnteredInError, 5))
    sessions.add(clinic, error, version=5, outcome="entered-in-error")
    await auditor.look()
    found = await shown(clinic)
    assert (found["items"], found["last_run"]["compared"]) == ([], 5)


async def test_it_asks_again_with_growing_patience(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    lost = clinic.visit()
    sessions.add(clinic, lost)
    asked = []
    for minutes in (0, 1, 1, 3, 1, 7, 1):
        clinic.clock.advance(timedelta(minutes=minutes))
        await auditor.look()
        asked.append(len(await asked_for(clinic)))
    assert asked == [1, 1, 2, 2, 3, 3, 4]
    [gap] = (await shown(clinic))["items"]
    assert gap["times_asked"] == 4
    assert gap["first_seen_at"] < gap["last_seen_at"]


async def test_two_processes_that_look_at_once_ask_once(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    sessions.add(clinic, clinic.visit())
    another = Auditor(
        clinic.database,
        clinic.clock,
        sessions,
        Metrics("followup"),
        every_seconds=60,
        look_back=timedelta(days=7),
        grace=timedelta(minutes=2),
    )
    await asyncio.gather(auditor.look(), another.look())
    assert len(await asked_for(clinic)) == 1


async def test_what_has_only_just_ended_is_not_missed_yet(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    sessions.add(clinic, clinic.visit(), ago=timedelta(minutes=1, seconds=59))
    await auditor.look()
    assert (await shown(clinic))["items"] == []
    clinic.clock.advance(timedelta(seconds=2))
    await auditor.look()
    assert len((await shown(clinic))["items"]) == 1


async def test_what_is_missing_is_looked_for_until_it_is_found(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    lost = clinic.visit()
    sessions.add(clinic, lost)
    await auditor.look()
    clinic.clock.advance(timedelta(days=30))
    await auditor.look()
    [gap] = (await shown(clinic))["items"]
    assert (gap["infusion_id"], gap["times_asked"]) == (str(lost.infusion_id), 2)


async def test_what_ended_while_nobody_looked_is_compared_afterwards(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    await auditor.look()
    _, until = sessions.last_window(clinic)
    lost = clinic.visit()
    sessions.add(clinic, lost, ago=timedelta(0))
    clinic.clock.advance(timedelta(days=30))
    await auditor.look()
    assert await asked_for(clinic) == [str(lost.infusion_id)]
    assert sessions.last_window(clinic)[0] == until


async def test_a_look_without_an_answer_leaves_open_what_it_was_to_compare(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    await auditor.look()
    lost = clinic.visit()
    sessions.add(clinic, lost, ago=timedelta(0))
    sessions.away = True
    for _ in range(3):
        clinic.clock.advance(timedelta(days=10))
        await auditor.look()
    assert await asked_for(clinic) == []
    sessions.away = False
    await auditor.look()
    assert await asked_for(clinic) == [str(lost.infusion_id)]
    await clinic.tell(lost.told())
    await auditor.look()
    await auditor.look()
    assert clinic.clock.now() - sessions.last_window(clinic)[0] == timedelta(days=7), "once all is compared, it looks back as far as always"


async def test_what_sessions_has_forgotten_is_named_and_settled_by_news(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(version=4), visit.told(infusions.InfusionAmended, 5, drug_given=False))
    sessions.add(clinic, visit, version=4)
    await auditor.look()
    [gap] = (await shown(clinic))["items"]
    assert gap["missing"] == ["sessions-behind"]
    sessions.add(clinic, visit, version=1_000_004)
    await clinic.tell(visit.told(version=1_000_004))
    await auditor.look()
    assert (await shown(clinic))["items"] == []


async def test_what_is_void_here_is_whole_only_if_sessions_says_so_under_whatever_version(
    clinic: Clinic, sessions: Told, auditor: Auditor
) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), visit.told(infusions.InfusionEnteredInError, 5))
    sessions.add(clinic, visit, version=1_000_004)
    await auditor.look()
    [gap] = (await shown(clinic))["items"]
    assert gap["missing"] == ["sessions-behind"]
    sessions.add(clinic, visit, version=1_000_006, outcome="entered-in-error")
    await auditor.look()
    assert (await shown(clinic))["items"] == []


async def test_when_sessions_is_away_the_last_look_says_so_and_gaps_stay(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    sessions.add(clinic, clinic.visit())
    await auditor.look()
    sessions.away = True
    await auditor.look()
    found = await shown(clinic)
    assert found["last_run"]["outcome"] == "sessions-away"
    assert len(found["items"]) == 1


async def test_every_page_is_compared(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    for _ in range(5):
        sessions.add(clinic, clinic.visit())
    assert await auditor.look() == Compared(5, 5, 5)
    assert len(await asked_for(clinic)) == 5


async def test_a_page_of_gaps_takes_as_many_statements_as_one_gap(clinic: Clinic) -> None:
    counted: list[list[str]] = []
    for number in (1, 20):
        told = Told()
        for _ in range(number):
            told.add(clinic, clinic.visit())
        with Statements(clinic.database) as statements:
            async with clinic.database.transaction(clinic.clinic_id) as db:
                await compare(db, told.ended[clinic.clinic_id], clinic.clock.now(), Patience())
        counted.append(statements.texts)
    assert len(counted[0]) == len(counted[1]) <= 5, counted[1]


async def test_another_clinics_gaps_are_not_shown_here(clinic: Clinic, open_clinic: object, sessions: Told, auditor: Auditor) -> None:
    assert callable(open_clinic)
    other: Clinic = await open_clinic()
    sessions.add(other, other.visit())
    await auditor.look()
    assert (await shown(clinic))["items"] == []
    assert len((await shown(other))["items"]) == 1


async def test_before_the_first_look_there_is_nothing_to_say(clinic: Clinic) -> None:
    assert await shown(clinic) == {"items": [], "next": None, "last_run": None}


async def test_who_may_not_audit_is_refused(clinic: Clinic) -> None:
    answer = await clinic.http.get("/followup/v1/completeness", headers=clinic.headers(COORDINATOR) | {"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401


async def test_the_worker_looks_until_it_is_stopped(clinic: Clinic, sessions: Told, auditor: Auditor) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(auditor.run(stop))

    async def looks() -> int:
        return len(sessions.windows)

    await eventually(looks, lambda count: count >= 3)
    stop.set()
    await asyncio.wait_for(running, 20)


async def test_nothing_to_compare_is_a_look_too(clinic: Clinic, auditor: Auditor) -> None:
    assert await auditor.look() == Compared(0, 0, 0)
    assert (await shown(clinic))["last_run"]["compared"] == 0
