"""The task list as a page of staff: the way in, and that it shows what the list in JSON shows to the same person."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from services.followup.app import build
from shared.clock import FrozenClock
from shared.events import intake as people
from shared.local import LocalBus
from shared.security.access import census
from shared.security.staff_links import StaffLink, StaffLinks
from shared.web import application
from tests.conftest import NEW_YORK_MORNING
from tests.followup.clinic import ADMIN, COORDINATOR, DIRECTOR, NURSE, PRESCRIBER, THERAPIST, Clinic, all_wait
from tests.followup.staff.conftest import LINKS, busy, come_in, link_for, press


def rows_of(page: httpx.Response) -> list[tuple[str, ...]]:
    """The cells of the list's rows as texts."""
    rows = re.findall(r'<tr class="item.*?</tr>', page.text, flags=re.DOTALL)
    return [tuple(_text(cell) for cell in re.findall(r"<t[dh].*?</t[dh]>", row, flags=re.DOTALL)) for row in rows]


def _text(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", " ", html)).split())


async def test_looking_at_a_link_changes_nothing_and_pressing_the_button_opens_the_list_once(
    clinic: Clinic, browser: httpx.AsyncClient
) -> None:
    path = link_for(clinic, clinic.people[COORDINATOR])
    for _ in range(2):
        page = await browser.get(path)
        assert (page.status_code, "This link works once" in page.text, page.headers.get("set-cookie")) == (200, True, None)
    assert await clinic.rows("SELECT 1 FROM platform.staff_session WHERE clinic_id = :id", id=clinic.clinic_id) == []
    first, second = await press(browser, path), await press(browser, path)
    assert (first.status_code, second.status_code) == (303, 410)
    assert {part.strip() for part in first.headers["set-cookie"].split(";")[1:]} == {
        "HttpOnly",
        "Max-Age=3600",
        "Path=/",
        "SameSite=lax",
        "Secure",
    }
    assert (await browser.get(path)).status_code == 410
    assert (await browser.get("/queue")).status_code == 200


async def test_a_link_that_is_pressed_several_times_at_once_opens_one_session(clinic: Clinic, browser: httpx.AsyncClient) -> None:
    path = link_for(clinic, clinic.people[COORDINATOR])
    async with clinic.database.transaction() as db:
        await db.execute(text("LOCK TABLE platform.staff_session IN SHARE ROW EXCLUSIVE MODE"))
        pressing = [asyncio.ensure_future(press(browser, path)) for _ in range(3)]
        await all_wait(clinic.database, len(pressing))
    assert sorted([answer.status_code for answer in await asyncio.gather(*pressing)]) == [303, 410, 410]


async def test_a_link_that_is_over_made_up_or_another_installations_opens_nothing(clinic: Clinic, browser: httpx.AsyncClient) -> None:
    person = clinic.people[COORDINATOR]
    over = link_for(clinic, person, at=datetime.now(UTC) - timedelta(hours=2))
    others = link_for(clinic, person, links=StaffLinks(b"another secret of thirty-two byte"))
    pages = [await press(browser, path) for path in (over, others, "/queue/enter/x", f"/queue/enter/{'A' * 90}")]
    assert {(page.status_code, page.text) for page in pages} == {(410, pages[0].text)}
    assert "not valid any more" in pages[0].text
    assert (await browser.get("/queue")).status_code == 401


async def test_another_sites_page_cannot_press_the_button(clinic: Clinic, browser: httpx.AsyncClient) -> None:
    path = link_for(clinic, clinic.people[COORDINATOR])
    assert (await press(browser, path, **{"sec-fetch-site": "cross-site"})).status_code == 403
    assert (await press(browser, path)).status_code == 303


async def test_a_session_ends_after_its_hour(clinic: Clinic, browser: httpx.AsyncClient) -> None:
    await come_in(browser, clinic)
    async with clinic.database.transaction() as db:
        await db.execute(text(_ENDED))
    page = await browser.get("/queue")
    assert (page.status_code, "Open a new link" in page.text) == (401, True)


@pytest.mark.parametrize("role", [COORDINATOR, NURSE, PRESCRIBER, THERAPIST, DIRECTOR])
async def test_the_page_shows_the_rows_of_the_list_in_json_and_no_others(clinic: Clinic, browser: httpx.AsyncClient, role: str) -> None:
    await busy(clinic)
    await come_in(browser, clinic, role)
    counts = (await clinic.get("tasks/counts", role)).json()["counts"]
    for view in ("mine", "unassigned", "on-hold", "done", "open", "cancelled"):
        page = await browser.get(f"/queue?view={view}")
        listed = (await clinic.get("tasks", role, view=view)).json()["items"]
        me = str(clinic.people[role])
        owners = {None: "Nobody's yet", me: "Yours"}
        expected = [
            (
                row["level"],
                row["patient_number"],
                f"{row['title']} {row['why']}",
                row["due"],
                owners.get(row["owner_id"], "Somebody else's"),
            )
            for row in listed
        ]
        assert (page.status_code, rows_of(page)) == (200, expected)
        assert len(listed) == counts[view]
        if view != "cancelled":
            assert f">{counts[view]}</span></a>" in page.text


async def test_work_that_lost_its_owner_says_why_and_what_to_do(clinic: Clinic, browser: httpx.AsyncClient) -> None:
    task = await clinic.task("rebook")
    await clinic.post(f"tasks/{task['task_id']}/claim", role=NURSE)
    gone = people.PractitionerChanged(
        occurred_at=clinic.clock.now(), practitioner_id=clinic.people[NURSE], practitioner_version=2, roles=[], active=False
    )
    await clinic.tell(gone)
    await come_in(browser, clinic, COORDINATOR)
    [row] = rows_of(await browser.get("/queue?view=unassigned"))
    assert row[-1] == "Nobody's yet Who had this does not work here any more. Take it, or give it to somebody who may do it."
    assert rows_of(await browser.get("/queue?view=unassigned&unassigned_because=nobody-may")) == []


async def test_whoever_gets_no_list_in_json_gets_no_page(clinic: Clinic, browser: httpx.AsyncClient) -> None:
    await clinic.task()
    strangers = {ADMIN: clinic.people[ADMIN], "nobody known": uuid4()}
    for person in strangers.values():
        twin = await clinic.get("tasks", person)
        page = await press(browser, link_for(clinic, person))
        assert (page.status_code, twin.status_code) == (403, 403)


async def test_a_role_that_is_taken_away_ends_what_an_open_session_shows(clinic: Clinic, browser: httpx.AsyncClient) -> None:
    person = await clinic.practitioner("coordinator")
    await come_in(browser, clinic, person)
    assert (await browser.get("/queue")).status_code == 200
    await clinic.tell(
        people.PractitionerChanged(
            occurred_at=clinic.clock.now(), practitioner_id=person, practitioner_version=2, roles=["clinic-admin"], active=True
        )
    )
    page = await browser.get("/queue")
    assert (page.status_code, "Your roles do not allow" in page.text) == (403, True)
    rows = await clinic.rows("SELECT outcome FROM audit_event WHERE operation = 'show_queue' AND practitioner_id = :id", id=person)
    assert sorted(row["outcome"] for row in rows) == [200, 403]


async def test_the_trail_says_who_came_in_and_who_was_shown_whom(clinic: Clinic, browser: httpx.AsyncClient) -> None:
    visit = clinic.visit()
    await clinic.task("rebook", visit)
    await come_in(browser, clinic)
    await browser.get("/queue")
    seen = "SELECT client_id, operation, action, practitioner_id, patient_ids FROM audit_event WHERE client_id = 'staff-session'"
    rows = await clinic.rows(f"{seen} ORDER BY action")
    me = clinic.people[COORDINATOR]
    assert [tuple(row.values()) for row in rows] == [
        ("staff-session", "enter", "C", me, None),
        ("staff-session", "show_queue", "R", me, [visit.patient_id]),
    ]


async def test_pages_lead_on_until_the_end_of_the_list(clinic: Clinic, browser: httpx.AsyncClient) -> None:
    for _ in range(3):
        await clinic.task("rebook")
    await come_in(browser, clinic)
    page, seen = await browser.get("/queue?view=unassigned&limit=2"), []
    seen += rows_of(page)
    (following,) = re.findall(r'href="([^"]*cursor=[^"]*)"', page.text)
    page = await browser.get(unescape(following))
    seen += rows_of(page)
    assert len(seen) == 3
    assert "The end of the list." in page.text
    assert (await browser.get("/queue?view=unassigned&cursor=x")).status_code == 400
    assert (await browser.get("/queue?view=everything")).status_code == 422


async def test_an_empty_tab_says_so_and_every_page_is_strict(clinic: Clinic, browser: httpx.AsyncClient) -> None:
    path = link_for(clinic, clinic.people[COORDINATOR])
    pages = [await browser.get(path), await browser.get("/queue"), await press(browser, path)]
    pages += [await browser.get(f"/queue?view={view}") for view in ("mine", "done", "open", "cancelled")]
    assert "You have no open task." in pages[3].text
    for page in pages:
        assert page.headers["content-security-policy"] == (
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "<script" not in page.text
        assert "style=" not in page.text
        loaded = re.findall(r'(?:src|action|<link[^>]*href)="([^"]*)"', page.text)
        assert all(address.startswith("/queue") for address in loaded)
    style = await browser.get("/queue/afterglow.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "url(" not in style.text


async def test_production_has_no_way_in_and_no_page(clinic: Clinic) -> None:
    given = clinic.service.settings.model_copy(update={"env": "production", "public_url": "https://care.test"})
    production = build(given, LocalBus(), FrozenClock(NEW_YORK_MORNING))  # type: ignore[arg-type]  # followup's own settings
    try:
        paths = {operation.partition(" ")[2] for operation in census(application(production))}
        assert not {path for path in paths if path.startswith("/queue")}
        assert any(path.startswith("/c/") for path in paths)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application(production)), base_url="https://care.test") as http:
            for path in ("/queue", link_for(clinic, clinic.people[COORDINATOR]), "/queue/afterglow.css"):
                assert (await http.get(path)).status_code == 404
    finally:
        await production.database.close()


def test_a_link_names_a_person_of_a_clinic_for_an_hour() -> None:
    whose = StaffLink(uuid4(), uuid4())
    now = datetime.now(UTC)
    assert LINKS.opened(LINKS.made(whose)) == whose
    assert LINKS.made(whose) != LINKS.made(whose)
    assert LINKS.opened(LINKS.made(whose, at=now - timedelta(minutes=61))) is None
    assert LINKS.opened("") is None


_ENDED = """
    WITH s AS (DELETE FROM platform.staff_session RETURNING *) INSERT INTO platform.staff_session
    SELECT session_sha256, link_sha256, clinic_id, practitioner_id, clock_timestamp() - interval '1 second' FROM s
"""
