"""The demo's closing table: nothing is broken after a visit that went well, and every harm done to its traces is counted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import make_url

from services.demo import clinic as demo
from services.demo import verdict
from services.demo.day import Day
from services.demo.ledger import Ledger, Line
from services.demo.view import Board
from shared.clock import AcceleratedClock, Phase
from tests.conftest import NEW_YORK_MORNING
from tests.support.databases import Databases
from tests.support.house import Clinic, House
from tests.support.waiting import eventually

HARMS = [
    ("followup", "DELETE FROM care_task WHERE kind = 'integration-session'", "sets missing or incomplete"),
    ("followup", "DELETE FROM check_in WHERE code = 'C72'", "sets missing or incomplete"),
    ("followup", "UPDATE plan SET infusion_id = gen_random_uuid()", "sets for infusions without drug"),
    ("followup", "UPDATE check_in SET code = 'C24', ordinal = 7 WHERE code = 'C72'", "sets doubled"),
    ("followup", "DELETE FROM message", "messages in the outbox that nobody recorded"),
    ("intake", "UPDATE patient SET status = 'deceased', status_changed_at = '2020-01-01Z'", "messages after death or withdrawal"),
    ("sessions", "UPDATE infusion SET state = 'entered-in-error'", "check-ins left open after death, withdrawal or error"),
]
"""A service, what is done to its tables behind its back, and the line of the table that must tell."""


class Traces:
    """The databases of the house, reached as their superuser."""

    def __init__(self, house: House, databases: Databases) -> None:
        self._house = house
        self._databases = databases

    async def ask(self, service: str, query: str) -> str:
        async with self._inside(service) as connection:
            return str(await connection.fetchval(query))

    async def harm(self, service: str, statement: str) -> None:
        """Behind the keys that would have refused it."""
        async with self._inside(service) as connection:
            await connection.execute(f"SET session_replication_role = replica; {statement}")

    @asynccontextmanager
    async def _inside(self, service: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        name = make_url(self._house.services[service].database.url).database
        assert name is not None
        connection = await self._databases.server.admin(name)
        try:
            yield connection
        finally:
            await connection.close()


async def finished_day(house: House, clinic: Clinic) -> tuple[Day, set[str]]:
    """One visit, its follow-up and the first message; with the ids of the messages to its patient."""
    before = {message["message_id"] for message in await house.messages()}
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans)
    house.clock.advance(timedelta(hours=23))
    sent = await eventually(house.messages, lambda messages: len(messages) > len(before))
    await house.settled()
    unused = AcceleratedClock(Phase(NEW_YORK_MORNING, NEW_YORK_MORNING, 1))
    day = Day(demo.Clinic(UUID(clinic.clinic_id), clinic.system), unused, NEW_YORK_MORNING, Board())
    day.staff.coordinator = str(clinic.staff["coordinator"])
    return day, {message["message_id"] for message in sent} - before


def broken(lines: list[Line]) -> set[str]:
    return {line.what for line in lines if line.broken}


async def test_a_visit_that_went_well_breaks_nothing(house: House, clinic: Clinic, databases: Databases) -> None:
    day, messages = await finished_day(house, clinic)
    lines = await verdict.count(Ledger(Traces(house, databases).ask, day.clinic_id), day, messages)
    assert broken(lines) == set()
    found = {line.what: line.found for line in lines}
    assert found["follow-up sets made for them"] == found["messages in the outbox"] == 1


@pytest.mark.parametrize(("service", "statement", "line"), HARMS, ids=[f"{line}-{index}" for index, (_, _, line) in enumerate(HARMS)])
async def test_a_broken_promise_is_counted(
    house: House, clinic: Clinic, databases: Databases, service: str, statement: str, line: str
) -> None:
    day, messages = await finished_day(house, clinic)
    traces = Traces(house, databases)
    await traces.harm(service, statement)
    assert line in broken(await verdict.count(Ledger(traces.ask, day.clinic_id), day, messages))


async def test_the_day_of_another_clinic_is_not_counted(house: House, clinic: Clinic, databases: Databases) -> None:
    traces = Traces(house, databases)
    await finished_day(house, clinic)
    await traces.harm("followup", "DELETE FROM care_task")
    other = await house.clinic()
    day, messages = await finished_day(house, other)
    assert broken(await verdict.count(Ledger(traces.ask, day.clinic_id), day, messages)) == set()
