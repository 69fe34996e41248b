"""The patients' pages in a real browser at the size of a telephone, with and without JavaScript."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe, AxeResults  # type: ignore[import-untyped]  # ships no types
from playwright.async_api import Browser, BrowserContext, Page, Route, ViewportSize, expect

from tests.followup.checkins.world import World
from tests.followup.pages.browsing import app_of
from tests.followup.pages.states import all_pages
from tests.support.browser import on_a_port, started

pytestmark = pytest.mark.browser

PHONE = ViewportSize(width=390, height=844)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with started() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def origin(world: World) -> AsyncIterator[str]:
    """The pages on a port of their own."""
    async with on_a_port(lambda url: app_of(world, public_url=url)) as url:
        yield url


CHOOSE_FIRST = """
    but => document.querySelectorAll('fieldset').forEach(group => {
        const first = group.querySelector('input[type=radio]');
        if (first && first.name !== but) first.checked = true;
    })
"""


@dataclass
class Patient:
    """Somebody with a telephone. ``complaints`` is what the browser refused or could not load."""

    page: Page
    origin: str
    complaints: list[str]

    async def open(self, path: str) -> None:
        await self.page.goto(self.origin + path)

    async def press(self, button: str) -> None:
        """Press a button and wait for the page it leads to: a click alone returns while the page before it is still there."""
        async with self.page.expect_navigation():
            await self.page.get_by_role("button", name=button).click()

    async def give_birth_date(self, day: str = "27") -> None:
        for name, value in (("Month", "3"), ("Day", day), ("Year", "1985")):
            await self.page.get_by_label(name, exact=True).fill(value)
        await self.press("Continue")

    async def answer_all_by_hand(self) -> None:
        """Choose the first option of every question, as a finger would."""
        for group in await self.page.get_by_role("group").all():
            await group.get_by_role("radio").first.check()

    async def answer_all(self, *, but: str = "") -> None:
        """The same at once, for who tries something else."""
        await self.page.evaluate(CHOOSE_FIRST, but)

    async def send(self) -> None:
        await self.press("Send my answers")


async def _telephone(context: BrowserContext, origin: str) -> Patient:
    page = await context.new_page()
    patient = Patient(page, origin, [])
    page.on("console", lambda message: patient.complaints.append(message.text) if "Content Security" in message.text else None)
    page.on("requestfailed", lambda request: patient.complaints.append(request.url))
    page.on("request", lambda request: None if request.url.startswith(origin) else patient.complaints.append(request.url))
    return patient


@pytest_asyncio.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"], loop_scope="session")
async def patient(request: pytest.FixtureRequest, chromium: Browser, origin: str) -> AsyncIterator[Patient]:
    context = await chromium.new_context(viewport=PHONE, java_script_enabled=request.param)
    made = await _telephone(context, origin)
    yield made
    await context.close()
    assert made.complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def reviewer(chromium: Browser, origin: str) -> AsyncIterator[Patient]:
    """A browser in which pages can be examined."""
    context = await chromium.new_context(viewport=PHONE)
    yield await _telephone(context, origin)
    await context.close()


async def test_from_the_link_to_thanks(world: World, patient: Patient) -> None:
    _, path = await world.sent()
    await patient.open(path)
    await patient.give_birth_date()
    await expect(patient.page).to_have_url(re.compile(r"/c/form/[A-Za-z0-9_-]{12}$"))
    await patient.answer_all_by_hand()
    await patient.send()
    await expect(patient.page.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert len(await world.read("SELECT 1 FROM check_in_answers")) == 1


async def test_a_wrong_birth_date_says_so_where_the_reader_is(world: World, patient: Patient) -> None:
    _, path = await world.sent()
    await patient.open(path)
    await patient.give_birth_date(day="28")
    await expect(patient.page).to_have_title(re.compile("^Error: "))
    await expect(patient.page.locator(".errors")).to_be_focused()
    await patient.page.get_by_role("link", name="That is not the date of birth").click()
    await expect(patient.page.get_by_label("Month", exact=True)).to_be_focused()
    await patient.give_birth_date()
    await expect(patient.page.get_by_role("button", name="Send my answers")).to_be_visible()


async def test_a_question_that_was_missed_is_named_and_reached_from_the_top(world: World, patient: Patient) -> None:
    _, path = await world.sent()
    await patient.open(path)
    await patient.give_birth_date()
    await patient.answer_all(but="distress")
    await patient.send()
    await expect(patient.page).to_have_title("Error: Your form")
    await expect(patient.page.locator(".errors")).to_be_focused()
    await patient.page.get_by_role("link", name="Choose an answer: how upset").click()
    field = patient.page.locator("#distress-0")
    await expect(field).to_be_focused()
    await field.check()
    await patient.send()
    await expect(patient.page.get_by_role("heading", level=1)).to_have_text("Thank you")


async def test_help_is_one_press_away_on_the_form(world: World, patient: Patient) -> None:
    _, path = await world.sent()
    await patient.open(path)
    await patient.give_birth_date()
    await patient.press("I need help now")
    await expect(patient.page.get_by_role("heading", level=1)).to_have_text("Get help now")
    await expect(patient.page.get_by_role("link", name="988")).to_be_in_viewport()
    assert [task.priority for task in await world.tasks()] == ["stat"]
    await patient.answer_all()
    await patient.send()
    await expect(patient.page.get_by_role("heading", level=1)).to_have_text("Thank you")


async def test_a_link_from_a_message_on_another_site_works(world: World, patient: Patient) -> None:
    _, path = await world.sent()
    await patient.page.set_content(f'<a href="{patient.origin}{path}">open</a>')
    async with patient.page.expect_navigation():
        await patient.page.get_by_role("link").click()
    await patient.give_birth_date()
    await expect(patient.page.get_by_role("button", name="Send my answers")).to_be_visible()


async def test_back_and_reload_show_pages_and_send_nothing_again(world: World, patient: Patient) -> None:
    _, path = await world.sent()
    await patient.open(path)
    await patient.give_birth_date(day="28")
    await patient.give_birth_date()
    await patient.answer_all(but="distress")
    await patient.send()
    await patient.answer_all()
    await patient.send()
    heading = patient.page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("Thank you")
    await patient.page.reload()
    await expect(heading).to_have_text("Thank you")
    for _ in range(3):
        await patient.page.go_back()
        await expect(heading).to_be_visible()
    assert len(await world.read("SELECT 1 FROM check_in_answers")) == 1
    assert [row.wrong_tries for row in await world.read("SELECT wrong_tries FROM patient_link")] == [1]


async def test_two_tabs_of_one_browser_are_two_patients(world: World, patient: Patient) -> None:
    first, path = await world.sent()
    await patient.open(path)
    await patient.give_birth_date()
    second, other_path = await world.sent(opens_at=world.clock.now())
    tab = await _telephone(patient.page.context, patient.origin)
    await tab.open(other_path)
    await tab.give_birth_date()
    await patient.press("I need help now")
    assert [task.focus_id for task in await world.tasks()] == [first.check_in_id]
    await tab.answer_all()
    await tab.send()
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert [row.check_in_id for row in await world.read("SELECT check_in_id FROM check_in_answers")] == [second.check_in_id]


async def test_unsaved_answers_come_back_after_the_birth_date(world: World, patient: Patient) -> None:
    _, path = await world.sent()
    await patient.open(path)
    await patient.give_birth_date()
    await patient.answer_all(but="distress")
    await patient.page.locator("#distress-7").check()
    await world.end_sessions()
    await patient.send()
    await expect(patient.page.get_by_role("heading", level=1)).to_have_text("Your form is closed for now")
    await patient.give_birth_date()
    await expect(patient.page.locator("#distress-7")).to_be_checked()
    await patient.send()
    await expect(patient.page.get_by_role("heading", level=1)).to_have_text("Thank you")


TOO_WIDE = """
    () => [...document.querySelectorAll('body *')].filter(one => !one.closest('.skip, option'))
        .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
        .map(one => one.outerHTML.slice(0, 80))
        .concat(document.documentElement.scrollWidth > document.documentElement.clientWidth ? ['the page'] : [])
"""
"""Every element that reaches over the right edge."""
SMALL, ORDINARY = ViewportSize(width=320, height=568), PHONE


async def shown(page: Page, answer: httpx.Response, style: str) -> None:
    """A page as the browser shows it; it can load its style sheet and nothing else."""

    async def fulfil(route: Route) -> None:
        css = route.request.url.endswith("/c/static/page.css")
        await route.fulfill(body=style if css else answer.text, content_type="text/css" if css else "text/html; charset=utf-8")

    await page.unroute_all()
    await page.route("**/*", fulfil)
    await page.goto("https://care.test/page")


COLOURS: dict[str, Any] = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}  # Any: axe's options
"""What can be otherwise where the page is dark; all else is of the markup."""


async def test_no_page_is_wider_than_a_small_telephone_or_has_an_accessibility_violation_light_or_dark(
    world: World, client: httpx.AsyncClient, chromium: Browser
) -> None:
    """With the longest words that intake takes for a clinic's."""
    long = {"sender_name": "Wellington " * 9, "crisis_line": "Call our own line at any hour, 212 555 0100. " * 6}
    pages = await all_pages(world, client, **long)
    words = {"sender_name": "W" * 80, "crisis_line": "2125550100" * 30}
    pages |= {f"{name}, in one word": page for name, page in (await all_pages(world, client, **words)).items()}
    style = (await client.get("/c/static/page.css")).text
    context = await chromium.new_context(viewport=SMALL, bypass_csp=True)
    page = await context.new_page()
    for name, answer in pages.items():
        await page.emulate_media(color_scheme="light")
        await page.set_viewport_size(SMALL)
        await shown(page, answer, style)
        await fits(page, name)
        await page.evaluate(Axe().axe_script)
        await has_no_violation(page, name)
        await page.emulate_media(color_scheme="dark")
        await has_no_violation(page, f"{name}, dark", COLOURS)
        await page.set_viewport_size(ORDINARY)
        await fits(page, name)
    await context.close()


async def fits(page: Page, name: str) -> None:
    """Raises where anything reaches over the right edge."""
    assert await page.evaluate(TOO_WIDE) == [], f"{name} at {page.viewport_size}"


async def has_no_violation(page: Page, name: str, options: dict[str, Any] | None = None) -> None:  # Any: as above
    """Raises where axe, which the page must have loaded, finds something."""
    found = AxeResults(await page.evaluate("options => axe.run(document, options)", {"resultTypes": ["violations"], **(options or {})}))
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"


async def test_the_weekly_form_is_no_wider_and_has_no_violation_either(world: World, reviewer: Patient) -> None:
    _, path = await world.sent("WK")
    await reviewer.open(path)
    await reviewer.give_birth_date()
    await expect(reviewer.page.get_by_role("heading", name="Your bladder this week")).to_be_visible()
    await reviewer.page.set_viewport_size(SMALL)
    assert await reviewer.page.evaluate(TOO_WIDE) == []
    assert (await Axe().run(reviewer.page)).violations_count == 0
