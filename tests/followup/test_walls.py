"""Between clinics: the service's own check, as a role that row-level security does not bind, so that it stands alone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from sqlalchemy.exc import NoResultFound

from services.followup.checkins.commands import locked
from services.followup.checkins.links import close, close_older, find_link, keep
from services.followup.checkins.models import CheckIn, CheckInStatus, LinkStatus, PatientLink
from services.followup.checkins.queries import get_locked, telephoned
from services.followup.outreach.commands import cancel, find_message, follow, look_again
from services.followup.outreach.delivery import Claim, wanted
from shared.db import Database
from shared.errors import NotFound
from shared.service import Service
from tests.followup.clinic import COORDINATOR, NURSE, Clinic, Visit
from tests.followup.conftest import asked
from tests.support.databases import Databases


@pytest_asyncio.fixture(loop_scope="session")
async def unguarded(databases: Databases, followup: Service) -> AsyncIterator[httpx.AsyncClient]:
    """The service's edge, on the role that owns the tables."""
    guarded = followup.database
    followup.database = Database(await databases.unguarded(guarded.url, "followup"), name="followup")
    try:
        async with asked(followup) as client:
            yield client
    finally:
        await followup.database.close()
        followup.database = guarded


@pytest.fixture
async def theirs(open_clinic: Callable[[], Awaitable[Clinic]]) -> tuple[Clinic, Visit]:
    """Another clinic's patient, who was called and asked to answer."""
    clinic = await open_clinic()
    visit = clinic.visit()
    await clinic.patient(visit)
    await clinic.task(visit=visit)
    await clinic.pass_time(timedelta(hours=26))
    return clinic, visit


def link_to(clinic_id: UUID, check_in_id: UUID, token_sha256: bytes, now: datetime) -> PatientLink:
    """A link as a message takes it along."""
    return PatientLink(
        clinic_id=clinic_id,
        check_in_id=check_in_id,
        issue=99,
        token_sha256=token_sha256,
        birth_date_hash="a proof",
        language="en",
        sender_name="Care team",
        clinic_phone="+1 555 0100",
        crisis_line="988",
        created_at=now,
    )


async def test_no_request_finds_anything_of_another_clinic_even_when_the_database_would_show_it(
    theirs: tuple[Clinic, Visit], clinic: Clinic, unguarded: httpx.AsyncClient
) -> None:
    owner, visit = theirs
    items = await owner.items(visit)
    task_id, check_in_id = items["integration-session"]["task_id"], items["C24"]["check_in_id"]
    (plan,) = await owner.rows("SELECT plan_id FROM plan WHERE infusion_id = :id", id=visit.infusion_id)
    ours = replace(clinic, http=unguarded)
    their_own = replace(owner, http=unguarded)
    for path in (f"tasks/{task_id}", f"plans/{plan['plan_id']}", f"check-ins/{check_in_id}"):
        assert (await their_own.get(path, role=NURSE)).status_code == 200
        for role in (COORDINATOR, NURSE):
            assert (await ours.get(path, role=role)).status_code == 404, path
    whose = {"patient_id": str(visit.patient_id)}
    for path in ("plans", "check-ins", "tasks"):
        assert (await their_own.get(path, **whose)).json()["items"] != []
        assert (await ours.get(path, **whose)).json()["items"] == [], path
    for path in ("tasks", f"tasks/{task_id}/history", "completeness"):
        answer = await ours.get(path)
        assert answer.status_code == 404 or answer.json()["items"] == [], path
    assert set((await ours.get("tasks/counts")).json()["counts"].values()) == {0}
    for step in ("claim", "release", "resume", "complete"):
        answer = await ours.post(f"tasks/{task_id}/{step}", {"outcome": "done"} if step == "complete" else None)
        assert answer.status_code in (404, 422), step


async def test_no_query_behind_the_edge_finds_anything_of_another_clinic(
    theirs: tuple[Clinic, Visit], clinic: Clinic, followup: Service, unguarded: httpx.AsyncClient
) -> None:
    owner, visit = theirs
    (message,) = await owner.rows("SELECT message_id FROM message WHERE patient_id = :id LIMIT 1", id=visit.patient_id)
    check_in_id: UUID = (await owner.items(visit))["C24"]["check_in_id"]
    token = uuid4().bytes
    async with followup.database.transaction(owner.clinic_id) as db:
        await keep(db, link_to(owner.clinic_id, check_in_id, token, followup.clock.now()))
    claim = Claim(message["message_id"], owner.clinic_id, 1, 0)
    for clinic_id, found in ((owner.clinic_id, True), (clinic.clinic_id, False)):
        async with followup.database.transaction(clinic_id) as db:
            assert (await find_message(db, message["message_id"]) is not None) is found
            assert bool(await locked(db, CheckIn.check_in_id == check_in_id, set(CheckInStatus))) is found  # type: ignore[arg-type]
            assert (await find_link(db, token) is not None) is found
            assert bool(await telephoned(db, [visit.infusion_id], ("integration-session",))) is found
            await db.rollback()
    async with followup.database.transaction(clinic.clinic_id) as db:
        with pytest.raises(NotFound):
            await get_locked(db, check_in_id)
        with pytest.raises(NoResultFound):
            await wanted(db, claim, followup.clock.now())
        await db.rollback()


async def test_no_write_behind_the_edge_reaches_another_clinic(
    theirs: tuple[Clinic, Visit], clinic: Clinic, followup: Service, unguarded: httpx.AsyncClient
) -> None:
    owner, visit = theirs
    check_in_id: UUID = (await owner.items(visit))["C24"]["check_in_id"]
    now = followup.clock.now()
    async with followup.database.transaction(owner.clinic_id) as db:
        await keep(db, link_to(owner.clinic_id, check_in_id, uuid4().bytes, now))

    async def leaves_at() -> list[datetime]:
        statement = "SELECT leaves_at FROM message WHERE check_in_id = :id AND status = 'queued'"
        return [row["leaves_at"] for row in await owner.rows(statement, id=check_in_id)]

    for acting, reached in ((clinic, False), (owner, True)):
        later = now + timedelta(hours=5)
        async with followup.database.transaction(acting.clinic_id) as db:
            await follow(db, {}, {check_in_id: later})
        assert (await leaves_at() == [later]) is reached
        async with followup.database.transaction(acting.clinic_id) as db:
            await look_again(db, visit.patient_id, now + timedelta(hours=4))
        assert (await leaves_at() == [now + timedelta(hours=4)]) is reached
        async with followup.database.transaction(acting.clinic_id) as db:
            assert bool(await close_older(db, [check_in_id], 2)) is reached
            await db.rollback()
        async with followup.database.transaction(acting.clinic_id) as db:
            assert (await close(db, [check_in_id], LinkStatus.DEAD) > 0) is reached
            assert bool(await cancel(db, [check_in_id], "check-in-superseded")) is reached
        assert (await leaves_at() == []) is reached
