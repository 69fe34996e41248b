"""One database restored from a backup while Kafka and all others kept everything that has happened since.

followup reads again what came after the backup, since its offsets went back with everything else: what followed from events is there
again, once. What people did in followup since (a task taken) is gone; it had been written nowhere else.

sessions has lost what was charted since, and its stream of events goes on from an older number. What it tells from now on is new to
everybody, so none of it is taken for something known; and the follow-up of the visits that it has lost stays as it is.

intake has lost versions of a patient that the others have seen. Its versions are lifted before it starts, so a death that is recorded
under a number that it had before is taken by all.
"""

import asyncio
from functools import partial
from uuid import UUID

import pytest

from services.restored import lift_versions
from tests.faults.checker import quiet
from tests.faults.clinic import Clinic
from tests.faults.installation import Installation
from tests.faults.report import Report
from tests.faults.scenario import Scenario, scenario
from tests.faults.servers import DurableServer
from tests.support.databases import PASSWORD
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize("of", ["of ten minutes ago", "of before the first event"])
async def test_followup_restored(installation: Installation, durable_server: DurableServer, report: Report, of: str) -> None:
    database = installation.database("followup")
    backup = await durable_server.backup(database)
    await installation.start()
    async with scenario(f"followup restored {of}", installation, report) as running:
        ledger = running.clinic.ledger
        await running.clinic.completes(10)
        if of == "of ten minutes ago":
            backup = await durable_server.backup(database)
        before = await installation.handled("followup")
        await running.clinic.completes(15)
        await running.followed_up()
        assert await installation.handled("followup") > before, "nothing happened since the backup"
        async with running.clinic.queue_at_rest(), running.fault(completed=10):
            await installation.stop("followup")
            await running.clinic.completes(5)
            await durable_server.restore(database, "followup", backup)
            gone = ledger.claims - await claimed(installation)
            ledger.claims -= gone
            await running.clinic.completes(5)
            await installation.one("followup").start()
        await running.clinic.completes(5)
        await running.followed_up()
    await running.ends_whole(f"followup's database replaced by a backup {of}; {len(gone)} tasks are taken by nobody again")


async def test_sessions_restored(installation: Installation, durable_server: DurableServer, report: Report) -> None:
    database = installation.database("sessions")
    await installation.start()
    async with scenario("sessions restored", installation, report) as running:
        await running.clinic.completes(10)
        async with running.clinic.resting():
            await quiet(installation)
            backup, kept, begun = await durable_server.backup(database), set(running.clinic.ledger.visits), running.clinic.ledger.begun
        await running.clinic.completes(15)
        async with running.clinic.resting():
            await running.followed_up()
            await quiet(installation)
            told = await _told(installation)
            async with running.fault(answered=20, unanswered=3):
                await installation.stop("sessions")
                await durable_server.restore(database, "sessions", backup)
                told -= await _told(installation)
                lost = _written_off(running, kept, begun)
                missed = await _unanswered(running.clinic)
                booking = asyncio.create_task(running.clinic.visit())
                for _ in range(5):
                    await running.clinic.admitted()
                await running.clinic.claim()
                await eventually(partial(_unanswered, running.clinic), lambda count: count >= missed + 3)
                await installation.one("sessions").start()
            await booking
        await running.clinic.completes(10)
        await running.followed_up()
    verdict = await running.verdict(f"sessions' database replaced by a backup; {len(lost)} visits are gone from it", foreign=told)
    assert len(lost) >= 15, "nothing happened since the backup"
    assert verdict.counts[:3] == (0, 0, 0), str(verdict)
    assert all(line.startswith("weeks for course") or any(str(visit) in line for visit in lost) for line in verdict.invented), str(verdict)
    await _follow_up_stays(installation, lost)


async def test_intake_restored(installation: Installation, durable_server: DurableServer, report: Report) -> None:
    database = installation.database("intake")
    await installation.start()
    async with scenario("intake restored", installation, report) as running:
        await running.clinic.completes(5)
        async with running.clinic.resting():
            patient_id = (await running.clinic.admitted()).patient_id
            for _ in range(5):
                await running.clinic.admit()
            await quiet(installation)
            backup = await durable_server.backup(database)
            for change in ("message-opt-out", "message-opt-in"):
                await _record(running, patient_id, change, requested_by="patient")
            await quiet(installation)
            told = await _told(installation, "intake")
            async with running.fault(completed=5):
                await installation.stop("intake")
                await asyncio.gather(*(running.clinic.visit() for _ in range(5)))
                await durable_server.restore(database, "intake", backup)
                told -= await _told(installation, "intake")
                await lift_versions("intake", durable_server.server.url("intake_owner", PASSWORD, database))
                await installation.one("intake").start()
            await _record(running, patient_id, "death")
            for service in ("sessions", "followup"):
                await eventually(partial(_status, installation, service, patient_id), lambda status: status == "deceased", within=60)
        await running.clinic.completes(10)
    assert len(told) >= 2, "nothing happened since the backup"
    await running.ends_whole("intake's database replaced by a backup; its versions are lifted", foreign=told)


async def _record(running: Scenario, patient_id: UUID, change: str, **body: object) -> None:
    acting = UUID(running.clinic.staff["coordinator"])
    await running.clinic.system.post(f"/intake/v1/patients/{patient_id}/{change}", body, acting=acting)


async def _status(installation: Installation, service: str, patient_id: UUID) -> str:
    async with installation.superuser(service) as admin:
        return str(await admin.fetchval("SELECT status FROM patient WHERE patient_id = $1", patient_id))


async def _unanswered(clinic: Clinic) -> int:
    return len(clinic.system.unanswered)


def _written_off(running: Scenario, kept: set[UUID], begun: int) -> set[UUID]:
    """Take out of the clinic's books what it must chart anew; returns those visits."""
    ledger = running.clinic.ledger
    lost = ledger.visits.keys() - kept
    for visit in lost:
        del ledger.visits[visit]
    ledger.begun = begun
    return lost


async def _told(installation: Installation, service: str = "sessions") -> set[UUID]:
    async with installation.superuser(service) as admin:
        return {row["event_id"] for row in await admin.fetch("SELECT event_id FROM platform.event_log")}


async def _follow_up_stays(installation: Installation, lost: set[UUID]) -> None:
    async with installation.superuser("followup") as admin:
        open_plans = await admin.fetchval("SELECT count(*) FROM plan WHERE infusion_id = ANY($1::uuid[]) AND status = 'active'", list(lost))
    assert open_plans == len(lost)


async def claimed(installation: Installation) -> set[UUID]:
    async with installation.superuser("followup") as admin:
        return {row["task_id"] for row in await admin.fetch("SELECT task_id FROM task_history WHERE action = 'claimed'")}
