"""What the audit of completeness asks every minute reads what happened lately, however much happened before."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import make_url

from services.sessions.infusions.records import IS_CORRECTION
from services.sessions.infusions.states import OUTCOMES, STEPS, Step
from shared.clock import FrozenClock
from tests.benchmarks.past import Connection, Past, load
from tests.benchmarks.past_rows import SESSIONS
from tests.conftest import NEW_YORK_MORNING
from tests.sessions.clinic import DIRECTOR, Clinic, mg
from tests.sessions.conftest import asked, built
from tests.support.databases import Databases
from tests.support.looking import most_rows, noted

INFUSIONS = 5_000
LATELY = INFUSIONS * 7 // 730


@dataclass(frozen=True)
class Large:
    clinic: Clinic
    superuser: Connection
    corrected: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def large(databases: Databases) -> AsyncIterator[Large]:
    async with built(databases) as service, asked(service) as http:
        clock = service.clock
        assert isinstance(clock, FrozenClock)
        clinic = Clinic(service, http, clock)
        await clinic.open()
        infusion_id = await clinic.completed()
        superuser = await databases.server.admin(str(make_url(service.database.url).database))
        model = dict(await superuser.fetchrow("SELECT infusion_id, patient_id, course_id FROM infusion") or {})
        await load(
            superuser, SESSIONS, Past(clinic.clinic_id, model, [clinic.people[DIRECTOR]], NEW_YORK_MORNING, INFUSIONS), lambda _: None
        )
        clock.advance(timedelta(days=30))
        await clinic.step(infusion_id, "amend", {"reason": "Misread", "dose_given": mg(35)}, acting=DIRECTOR)
        yield Large(clinic, superuser, infusion_id)
        await superuser.close()


@pytest.mark.parametrize(("days", "found"), [(0, 1), (30, LATELY + 2)])
async def test_a_look_at_seven_days_reads_seven_days(large: Large, days: int, found: int) -> None:
    """A week after the past has ended only a correction is found; in its last days, what ended then."""
    until = large.clinic.clock.now() + timedelta(minutes=1) - timedelta(days=days)
    window = f"ended_from={quote((until - timedelta(days=7)).isoformat())}&ended_to={quote(until.isoformat())}&limit=200"
    with noted(large.clinic.service.database) as statements:
        answer = await large.clinic.http.get(f"/sessions/v1/ended-infusions?{window}", headers=large.clinic.service_headers())
    items = answer.json()["items"]
    assert len(items) == pytest.approx(found, abs=2 * bool(days))
    assert (large.corrected in {item["infusion_id"] for item in items}) is True
    assert await most_rows(large.superuser, "sessions", UUID(str(large.clinic.clinic_id)), statements) <= 3 * found + 10


def test_every_step_that_follows_an_end_is_looked_for() -> None:
    unsaid = {Step.VITAL_SIGNS, Step.WITHDRAW_ENTERED_IN_ERROR}  # the first is no version of the record, the second takes nothing back
    possible = {step.value for outcome in OUTCOMES for step in STEPS[outcome] - unsaid}
    assert [step for step in possible if f"'{step}'" not in str(IS_CORRECTION)] == []
