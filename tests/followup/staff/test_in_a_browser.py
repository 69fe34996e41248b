"""The task list in a real browser: readable at every width, light and dark, without JavaScript, and without a fault that axe knows."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # ships no types
from playwright.async_api import Browser, Page, ViewportSize

from shared.web import application
from tests.followup.clinic import COORDINATOR, Clinic
from tests.followup.staff.conftest import busy, link_for
from tests.support.browser import on_a_port, started

pytestmark = pytest.mark.browser

Scheme = Literal["light", "dark"]
PICTURES = os.environ.get("AFTERGLOW_PICTURES")
"""A folder for pictures of every state, for people to look at."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with started() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def origin(clinic: Clinic) -> AsyncIterator[str]:
    """The pages on a port of their own."""
    async with on_a_port(lambda _url: application(clinic.service)) as url:
        yield url


async def complaints_of(page: Page) -> list[str]:
    """What axe finds, and whether the page is wider than the window."""
    found = [f"{one['id']}: {one['help']}" for one in (await Axe().run(page)).response["violations"]]
    wider = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return found + (["scrolls sideways"] if wider else []) + (["a cell covers another"] if await page.evaluate(_COVERED) else [])


_COVERED = """
    [...document.querySelectorAll('tr.item')].some(row => [...row.children].some((one, at, cells) => cells.slice(at + 1).some(other => {
        const [a, b] = [one, other].map(cell => {
            const range = document.createRange();
            range.selectNodeContents(cell);
            return range.getBoundingClientRect();
        });
        return a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    })))
"""
"""Whether the contents of two cells of a row lie over each other."""


async def picture(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 700, 390, 320])
async def test_every_page_of_the_list_is_readable_at_every_width(
    chromium: Browser, clinic: Clinic, origin: str, width: int, scheme: Scheme
) -> None:
    await busy(clinic)
    context = await chromium.new_context(viewport=ViewportSize(width=width, height=900), color_scheme=scheme)
    page, refused = await context.new_page(), []
    page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
    page.on("request", lambda request: None if request.url.startswith(origin) else refused.append(request.url))
    found: dict[str, list[str]] = {}
    await page.goto(origin + link_for(clinic, clinic.people[COORDINATOR]))
    found["way in"] = await complaints_of(page)
    await picture(page, f"enter-{width}-{scheme}")
    await page.get_by_role("button", name="Open the task list").click()
    for view in ("open", "mine", "done"):
        await page.goto(f"{origin}/queue?view={view}")
        found[view] = await complaints_of(page)
        await picture(page, f"queue-{view}-{width}-{scheme}")
    await page.goto(f"{origin}/queue/enter/x")
    found["refused"] = await complaints_of(page)
    await picture(page, f"refused-{width}-{scheme}")
    await context.close()
    assert found == {name: [] for name in found}
    assert refused == []


async def test_the_list_is_reached_without_javascript(chromium: Browser, clinic: Clinic, origin: str) -> None:
    await busy(clinic)
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(origin + link_for(clinic, clinic.people[COORDINATOR]))
    await page.get_by_role("button", name="Open the task list").click()
    await page.wait_for_url(f"{origin}/queue")
    await page.get_by_role("link", name="Mine").click()
    await page.wait_for_url("**/queue?view=mine")
    assert await page.get_by_role("row").count() == 2, "the heads of the columns, and the one task"
    await context.close()
