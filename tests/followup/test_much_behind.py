"""A clinic with much behind it gets its pages like a new one: what they read does not grow with what there is."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import make_url

from shared.clock import FrozenClock
from tests.benchmarks.past import Connection, Past, load
from tests.benchmarks.past_rows import FOLLOWUP
from tests.conftest import NEW_YORK_MORNING
from tests.followup.clinic import COORDINATOR, PRESCRIBER, Clinic
from tests.followup.conftest import asked, built
from tests.support.databases import Databases
from tests.support.looking import most_rows, noted

INFUSIONS = 6_000
"""Of each a task is open, nearly all of them overdue, and after every second one a call has ended."""
READ_AT_MOST = 700
"""Rows for a page of fifty: now and then a few hundred are read and sorted. Whoever looks through a view reads thousands."""
OPEN_VIEWS, ENDED_VIEWS = ("mine", "unassigned", "open"), ("done", "cancelled")
"""What is on hold comes back within a day, so that view stays small; in this past it does not."""


@dataclass(frozen=True)
class Large:
    """A clinic with much behind it, and a look at what its requests cost."""

    clinic: Clinic
    superuser: Connection

    async def read(self, path: str, **query: str) -> int:
        """The most rows that one statement of a page, or of the page after it, looked at."""
        most, following = 0, f"/followup/v1/{path}?{urlencode(query)}"
        for _ in range(2):
            with noted(self.clinic.database) as statements:
                answer = await self.clinic.get(following)
            assert answer.status_code == 200, answer.text
            most = max(most, await most_rows(self.superuser, "followup", self.clinic.clinic_id, statements))
            following = answer.json().get("next") or following
        return most


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def large(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Large]:
    async with built(databases, Path(tmp_path_factory.mktemp("messages"))) as service, asked(service) as http:
        clock = service.clock
        assert isinstance(clock, FrozenClock)
        clinic = Clinic(service, http, clock)
        await clinic.open()
        visit = clinic.visit()
        await clinic.patient(visit)
        await clinic.tell(visit.told())
        superuser = await databases.server.admin(str(make_url(service.database.url).database))
        model = {"infusion_id": visit.infusion_id, "patient_id": visit.patient_id, "course_id": visit.course_id}
        # The coordinator has as much as a person can have; the prescriber stands for all the others.
        owners = [clinic.people[COORDINATOR], *[clinic.people[PRESCRIBER]] * 19]
        await load(superuser, FOLLOWUP, Past(clinic.clinic_id, model, owners, NEW_YORK_MORNING, INFUSIONS), lambda _: None)
        yield Large(clinic, superuser)
        await superuser.close()


SORTS = ("due_at", "-due_at", "created_at", "-created_at", "priority")
FILTERS: Mapping[str, Mapping[str, str]] = {
    "nothing of a kind": {"kind": "safety-review"},
    "a usual kind": {"kind": "integration-session"},
    "the most pressing": {"priority": "stat"},
    "a newcomer's": {"owner_id": str(uuid4())},
    "somebody's": {"owner_id": "prescriber"},
    "overdue": {"overdue": "true"},
    "not overdue": {"overdue": "false"},
    "due long ago": {"due_before": (NEW_YORK_MORNING - timedelta(days=3000)).isoformat()},
    "due before tomorrow": {"due_before": (NEW_YORK_MORNING + timedelta(days=1)).isoformat()},
}


def wanted(large: Large, chosen: str) -> dict[str, str]:
    people = {role: str(person) for role, person in large.clinic.people.items()}
    return {name: people.get(value, value) for name, value in FILTERS[chosen].items()}


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("view", [*OPEN_VIEWS, *ENDED_VIEWS])
async def test_a_view_is_not_looked_through_in_any_order(large: Large, view: str, sort: str) -> None:
    assert await large.read("tasks", view=view, sort=sort) <= READ_AT_MOST


@pytest.mark.parametrize("chosen", FILTERS)
@pytest.mark.parametrize("view", [*OPEN_VIEWS, *ENDED_VIEWS])
async def test_a_view_is_not_looked_through_for_what_it_holds_little_of(large: Large, view: str, chosen: str) -> None:
    assert await large.read("tasks", view=view, **wanted(large, chosen)) <= READ_AT_MOST


@pytest.mark.parametrize("chosen", ["nothing of a kind", "the most pressing", "a newcomer's", "due long ago"])
async def test_counting_little_looks_at_little(large: Large, chosen: str) -> None:
    assert await large.read("tasks/counts", **wanted(large, chosen)) <= READ_AT_MOST


async def test_a_kind_that_only_ended_tasks_have_is_not_counted_in_the_open_ones(large: Large) -> None:
    counts = (await large.clinic.get("tasks/counts?kind=check-in-overdue-call")).json()["counts"]
    assert counts["open"] == 0
    assert await large.read("tasks/counts", kind="check-in-overdue-call") <= sum(counts.values()) + READ_AT_MOST


async def test_a_page_of_all_plans_reads_a_page(large: Large) -> None:
    assert await large.read("plans") <= READ_AT_MOST
