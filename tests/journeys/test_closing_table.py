"""The demo's closing table: nothing is broken after a day that went well, and whatever is lost, doubled or undone behind it is counted.

The day is small and is played once; each harm is done inside transactions that are rolled back.
"""

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import make_url

from services.demo import clinic as demo
from services.demo import verdict
from services.demo.cast import Person, Reply, Role
from services.demo.clock import DayClock
from services.demo.day import Day
from services.demo.ledger import Ledger
from services.demo.patients import Patients
from services.demo.run import beside
from services.demo.view import Board, Visit
from shared.clock import AcceleratedClock, FrozenClock, Phase
from shared.postgres import SERVICES
from tests.conftest import NEW_YORK_MORNING
from tests.journeys.closing_harms import HARMS, STORIES
from tests.support.databases import Databases
from tests.support.house import Clinic, House, Patient, house_on
from tests.support.waiting import eventually

BIRTH_DATE = "1984-06-19"


class Traces:
    """The databases of the house, reached as their superuser inside transactions that leave nothing behind."""

    def __init__(self, connections: dict[str, "asyncpg.Connection[asyncpg.Record]"]) -> None:
        self._connections = connections

    async def ask(self, service: str, query: str) -> str:
        return str(await self._connections[service].fetchval(query))

    async def harm(self, service: str, statement: str) -> None:
        """Behind the keys that would have refused it. It must meet something."""
        done = await self._connections[service].execute(statement)
        assert int(done.split()[-1]) > 0, done


@dataclass
class Played:
    """A day that went well."""

    house: House
    databases: Databases
    day: Day

    async def broken(self, traces: Traces, day: Day | None = None) -> set[str]:
        day = day or self.day
        return {line.what for line in await verdict.count(Ledger(traces.ask, day.clinic_id), day) if line.broken}

    @asynccontextmanager
    async def traces(self) -> AsyncIterator[Traces]:
        async with AsyncExitStack() as stack:
            connections = {}
            for service in SERVICES:
                name = make_url(self.house.services[service].database.url).database
                assert name is not None
                connection = connections[service] = await self.databases.server.admin(name)
                stack.push_async_callback(connection.close)
                await connection.execute("BEGIN; SET LOCAL session_replication_role = replica; SET LOCAL lock_timeout = '20s'")
            yield Traces(connections)


async def visitor(clinic: Clinic, name: str, *, reply: Reply = "never") -> tuple[Patient, Person]:
    email = f"{name}@{clinic.clinic_id[:8]}.patients.example"
    patient = await clinic.admit(email=email, birth_date=BIRTH_DATE)
    person = Person(Role(name, "America/New_York", 0, reply=reply), BIRTH_DATE, email, patient.patient_id, name, patient.course_id)
    return patient, person


async def missed(clinic: Clinic, name: str) -> Person:
    patient, person = await visitor(clinic, name)
    person.infusion_id = await patient.book()
    await patient.step("no-show")
    person.infusion = "no-show"
    await eventually(patient.tasks)
    return person


async def infused(patient: Patient, person: Person) -> None:
    await patient.complete()
    person.infusion_id, person.infusion = patient.infusion_id, "completed"
    person.pump_ended_at = datetime.fromisoformat((await record_of(patient))["pump_ended_at"])
    await eventually(patient.plans)


async def record_of(patient: Patient) -> dict[str, str]:
    clinic = patient.clinic
    return await clinic.system.get(f"/sessions/v1/infusions/{patient.infusion_id}", acting=clinic.staff["infusion-nurse"])


async def amended(patient: Patient, person: Person) -> None:
    record = await record_of(patient)
    later = datetime.fromisoformat(record["pump_ended_at"]) + timedelta(minutes=4)
    body = {"reason": "Pump log read", "pump_ended_at": later.isoformat()}
    await patient.step("amend", body, by="prescriber", version=int(record["version"]))
    person.pump_ended_at = later


async def died(patient: Patient, person: Person) -> None:
    await patient.clinic.system.post(f"/intake/v1/patients/{patient.patient_id}/death", {})
    person.standing, person.ended_at = "deceased", patient.clinic.house.clock.now()
    await eventually(patient.tasks, lambda tasks: "cancellation-review" in tasks)


def day_of(clinic: Clinic, people: list[Person]) -> Day:
    unused = DayClock(AcceleratedClock(Phase(NEW_YORK_MORNING, NEW_YORK_MORNING, 1)))
    board = Board([Visit(person.patient_number, person.role.time_zone) for person in people])
    day = Day(demo.Clinic(UUID(clinic.clinic_id), clinic.system), unused, NEW_YORK_MORNING, board)
    day.staff.coordinator, day.people = str(clinic.staff["coordinator"]), people
    return day


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def played(databases: Databases) -> AsyncIterator[Played]:
    """One who is infused, amended and worrying, one who dies after the infusion, and two who do not come."""
    async with house_on(databases, FrozenClock(NEW_YORK_MORNING)) as house:
        clinic = await house.clinic()
        people = [await missed(clinic, "noshow"), await missed(clinic, "other-noshow")]
        patient, dead = await visitor(clinic, "dead")
        await infused(patient, dead)
        await died(patient, dead)
        patient, worried = await visitor(clinic, "worried", reply="worrying")
        await infused(patient, worried)
        await amended(patient, worried)
        await house.settled()
        day = day_of(clinic, [worried, dead, *people])
        house.clock.advance(timedelta(hours=23))
        patients = Patients(day, house.folder / "messages", None)

        async def answers() -> list[str]:
            return worried.answered

        async with beside(patients.read_mail()):
            await eventually(answers)
            await patients.settle()
        await house.settled()
        yield Played(house, databases, day)


async def test_a_day_that_went_well_breaks_nothing(played: Played) -> None:
    async with played.traces() as traces:
        assert await played.broken(traces) == set()
        found = {line.what: line.found for line in await verdict.count(Ledger(traces.ask, played.day.clinic_id), played.day)}
    assert found["follow-up sets made for them"] == found["of them with exactly one task to rebook"] == 2
    assert found["messages in the outbox"] == found["answers stored of those acknowledged"] == found["worrying answers"] == 1


@pytest.mark.parametrize(("service", "statement", "line"), HARMS, ids=[f"{line}-{index}" for index, (_, _, line) in enumerate(HARMS)])
async def test_a_broken_promise_is_counted(played: Played, service: str, statement: str, line: str) -> None:
    async with played.traces() as traces:
        await traces.harm(service, statement)
        assert line in await played.broken(traces)


@pytest.mark.parametrize(("story", "line"), STORIES, ids=[line for _, line in STORIES])
async def test_what_the_cast_has_seen_is_what_counts(played: Played, story: Callable[[list[Person]], None], line: str) -> None:
    day = copy.copy(played.day)
    day.people = copy.deepcopy(played.day.people)
    story(day.people)
    async with played.traces() as traces:
        assert line in await played.broken(traces, day)


async def test_the_day_of_another_clinic_is_not_counted(played: Played) -> None:
    other = await played.house.clinic()
    day = day_of(other, [await missed(other, "elsewhere")])
    await played.house.settled()
    async with played.traces() as traces:
        await traces.harm("followup", f"DELETE FROM care_task WHERE clinic_id = '{played.day.clinic_id}'")  # noqa: S608 - our own id
        assert await played.broken(traces, day) == set()


async def test_an_answer_whose_reply_was_lost_on_the_way_breaks_nothing(played: Played) -> None:
    day = copy.copy(played.day)
    day.people = copy.deepcopy(played.day.people)
    day.people[0].answered.clear()
    day.people[0].worried.clear()
    async with played.traces() as traces:
        assert await played.broken(traces, day) == set()
