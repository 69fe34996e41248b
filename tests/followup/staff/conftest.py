"""A clinic whose task list people look at, and the ways by which they come in."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import httpx
import pytest_asyncio

from shared.security.staff_links import StaffLink, StaffLinks
from shared.web import application
from tests.followup.clinic import COORDINATOR, Clinic

LINKS = StaffLinks(b"a link secret that only tests know of")
ORIGIN = "https://localhost"
FORM = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}


@pytest_asyncio.fixture(loop_scope="session")
async def browser(clinic: Clinic) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without JavaScript that follows nothing by itself."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application(clinic.service)), base_url=ORIGIN) as client:
        yield client


def link_for(clinic: Clinic, person: UUID, *, at: datetime | None = None, links: StaffLinks = LINKS) -> str:
    """The path of a new one-time link."""
    return f"/queue/enter/{links.made(StaffLink(clinic.clinic_id, person), at=at)}"


async def press(browser: httpx.AsyncClient, path: str, **headers: str) -> httpx.Response:
    """Press the button of a link's page."""
    return await browser.post(path, content="", headers={**FORM, **headers})


async def come_in(browser: httpx.AsyncClient, clinic: Clinic, role: str | UUID = COORDINATOR) -> None:
    """Open a session as the person in this role."""
    person = clinic.people[role] if isinstance(role, str) else role
    answer = await press(browser, link_for(clinic, person))
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue")


async def busy(clinic: Clinic) -> None:
    """A queue with something in several tabs, claimed by the coordinator."""
    for kind in ("integration-session", "same-evening-call", "left-against-advice", "rebook", "rebook"):
        await clinic.task(kind)
    mine, waits = (await clinic.get("tasks", view="unassigned", kind="rebook")).json()["items"]
    for task in (mine, waits):
        await clinic.post(f"tasks/{task['task_id']}/claim")
    until = (clinic.clock.now() + timedelta(hours=2)).isoformat()
    await clinic.post(f"tasks/{waits['task_id']}/hold", {"until": until, "reason": "waiting-for-record"})
