"""The patients' pages in the frame: what a request leaves in the trail, and what is told when the page cannot be made."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import make_url
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.db import Database
from shared.errors import Unavailable
from shared.security.access import census
from tests.followup.checkins.world import World
from tests.followup.pages.browsing import RIGHT, WRONG, PatientBrowser, app_of, browser, calm, form_of, post, send, signed_in
from tests.support.databases import Databases

PUBLIC = {"GET /c", "GET /c/help", "GET /c/leave", "GET /c/leave/{handle}", "GET /c/static/page.css"}


async def trail(world: World) -> list[tuple[Any, ...]]:
    rows = await world.read("SELECT operation, action, phi, outcome, client_id, patient_id, subject FROM audit_event ORDER BY recorded_at")
    return [tuple(row) for row in rows]


async def test_whatever_shows_or_takes_something_of_a_patient_is_a_patients_operation(world: World) -> None:
    declared = census(app_of(world))
    assert {operation for operation, access in declared.items() if access.kind is None} == PUBLIC
    others = {operation: (access.kind, access.phi) for operation, access in declared.items() if operation not in PUBLIC}
    assert others == {
        "GET /c/{token}": ("patient", "none"),
        "POST /c/{token}": ("patient", "write"),
        "GET /c/form/{handle}": ("patient", "read"),
        "POST /c": ("patient", "write"),
        "POST /c/help": ("patient", "write"),
    }


async def test_every_step_of_a_patient_leaves_one_row_that_names_them_and_the_check_in(world: World, client: PatientBrowser) -> None:
    new, path = await world.sent()
    await client.get(path)
    await post(client, path, {})
    await post(client, path, WRONG)
    await post(client, path, RIGHT)
    await form_of(client)
    await post(client, "/c", {"mark": client.mark, **{name: str(value) for name, value in calm(world).items()}})
    await post(client, "/c/help", {"mark": client.mark})
    whose = ("patient-link", world.patient_id, f"CheckIn/{new.check_in_id}")
    assert await trail(world) == [
        ("check_birth_date", "C", "write", 422, *whose),
        ("check_birth_date", "C", "write", 401, *whose),
        ("check_birth_date", "C", "write", 303, *whose),
        ("show_form", "R", "read", 200, *whose),
        ("take_answers", "C", "write", 200, *whose),
        ("take_call_for_help", "C", "write", 200, *whose),
    ]


async def test_what_opens_nothing_leaves_no_row(world: World, client: PatientBrowser) -> None:
    for path in ("/c/unknown", "/c/form/unknown", "/c"):
        await client.get(path)
    for path in ("/c/unknown", "/c", "/c/help"):
        await post(client, path, {"mark": "x"} if path != "/c/unknown" else RIGHT)
    assert await trail(world) == []


async def test_without_a_trail_nothing_is_taken_and_the_page_says_so(world: World, client: PatientBrowser, databases: Databases) -> None:
    await signed_in(world, client)
    before = await trail(world)
    async with trail_closed(world, databases):
        page = await post(client, "/c", {"mark": client.mark, **{name: str(value) for name, value in calm(world).items()}})
        called = await post(client, "/c/help", {"mark": client.mark})
    assert (page.status_code, "Nothing was saved." in page.text) == (503, True)
    assert (called.status_code, 'href="tel:988"' in called.text, "Nobody at the clinic was told." in called.text) == (503, True, True)
    assert await world.read("SELECT 1 FROM check_in_answers") == []
    assert await world.tasks() == []
    assert await trail(world) == before


@asynccontextmanager
async def trail_closed(world: World, databases: Databases) -> AsyncIterator[None]:
    """The service may not write into the trail in this block."""
    owner = await databases.server.admin(make_url(world.database.url).database or "")
    await owner.execute("REVOKE INSERT ON public.audit_event FROM followup")
    try:
        yield
    finally:
        await owner.execute("GRANT INSERT ON public.audit_event TO followup")
        await owner.close()


class AwayAfter(Database):
    """A database that goes away after so many transactions."""

    def __init__(self, of: Database, transactions: int) -> None:
        super().__init__(of.url, name=of.name, pool_size=2)
        self._left = transactions

    @asynccontextmanager
    async def transaction(self, clinic_id: UUID | None = None) -> AsyncIterator[AsyncSession]:
        if not self._left:
            raise Unavailable
        self._left -= 1
        async with super().transaction(clinic_id) as db:
            yield db


@pytest.mark.parametrize(("path", "status", "said"), [("/c", 503, "What you sent has arrived."), ("/c/help", 200, "Get help now")])
async def test_what_was_taken_is_not_called_unsaved_though_its_page_cannot_be_made(
    world: World, client: PatientBrowser, path: str, status: int, said: str
) -> None:
    await signed_in(world, client)
    fields = {"mark": client.mark, **{name: str(value) for name, value in calm(world, call_today="yes").items()}}
    reached, world.database = world.database, AwayAfter(world.database, 1)
    try:
        async with browser(app_of(world)) as without_cookies:
            page = await post(without_cookies, path, fields)
    finally:
        await world.database.close()
        world.database = reached
    assert (page.status_code, said in page.text) == (status, True)
    assert "Nothing was saved" not in page.text
    assert "Nobody at the clinic was told" not in page.text
    assert len(await world.tasks()) == 1


async def test_a_link_with_what_mail_programs_add_opens(world: World, client: httpx.AsyncClient) -> None:
    _, path = await world.sent()
    assert (await client.get(f"{path}?utm_source=mail&fbclid=1&utm_source=x")).status_code == 200
    assert (await send(client, f"{path}?utm_source=mail", RIGHT)).status_code == 200
