import asyncio
from datetime import timedelta
from hashlib import sha256
from urllib.parse import urlencode

import httpx
import pytest

from services.followup.checkins import links
from shared.db import Database
from tests.followup.checkins.world import PUBLIC_URL, SECRET, World
from tests.followup.pages.browsing import FORM, RIGHT, WRONG, app_of, browser, calm, form_of, post, send, signed_in


async def state(world: World) -> list[object]:
    return [
        await world.read("SELECT * FROM patient_link"),
        await world.read("SELECT * FROM check_in"),
        await world.read("SELECT * FROM platform.check_in_session"),
        await world.read("SELECT * FROM care_task"),
    ]


async def test_looking_at_a_link_shows_one_birth_date_field_and_changes_nothing(world: World, client: httpx.AsyncClient) -> None:
    _, path = await world.sent()
    before = await state(world)
    for _ in range(3):
        page = await client.get(path)
        assert page.status_code == 200
        assert all(f'name="{name}"' in page.text for name in RIGHT)
        assert not page.cookies
    assert await state(world) == before


async def test_the_right_birth_date_opens_a_session_and_leads_to_the_form(world: World, client: httpx.AsyncClient) -> None:
    _, path = await world.sent()
    answer = await post(client, path, RIGHT)
    cookie = answer.headers["set-cookie"]
    handle = cookie.removeprefix("__Host-check-in-").partition("=")[0]
    assert (answer.status_code, answer.headers["location"]) == (303, f"/c/form/{handle}")
    assert {part.strip() for part in cookie.split(";")[1:]} == {"HttpOnly", "Max-Age=604800", "Path=/", "SameSite=lax", "Secure"}
    form = await client.get(f"/c/form/{handle}")
    assert form.status_code == 200
    assert 'name="distress"' in form.text


async def test_without_https_the_cookie_has_a_plain_name(world: World) -> None:
    url = "http://127.0.0.1:8000"
    async with browser(app_of(world, public_url=url), public_url=url) as client:
        _, path = await world.sent()
        answer = await post(client, path, RIGHT)
        assert answer.headers["set-cookie"].startswith("check-in-")
        assert "Secure" not in answer.headers["set-cookie"]
        assert (await form_of(client)).status_code == 200


async def test_the_session_is_stored_as_a_hash_only(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    (session,) = await world.read("SELECT * FROM platform.check_in_session")
    (cookie,) = client.cookies.values()
    assert cookie not in str(session)
    assert sha256(cookie.encode()).digest() == session.session_sha256


NO_DATES = {
    "nothing": {},
    "empty": {"birth_month": "", "birth_day": "", "birth_year": ""},
    "month 13": {**RIGHT, "birth_month": "13"},
    "31 February": {**RIGHT, "birth_day": "31", "birth_month": "2"},
    "day first": {"birth_month": "19", "birth_day": "6", "birth_year": "1984"},
    "letters": {**RIGHT, "birth_year": "85a"},
    "other digits": {**RIGHT, "birth_year": "\u0661\u0669\u0668\u0665"},
    **{f"year {year}": {**RIGHT, "birth_year": year} for year in ("85", "0085", "198", "2085", "1885", "19850")},
}


@pytest.mark.parametrize("fields", NO_DATES.values(), ids=NO_DATES)
async def test_what_is_no_date_is_asked_again_and_costs_no_try(world: World, client: httpx.AsyncClient, fields: dict[str, str]) -> None:
    _, path = await world.sent()
    page = await send(client, path, fields)
    assert page.status_code == 422
    assert "<title>Error: " in page.text
    assert (await world.read("SELECT wrong_tries FROM patient_link"))[0].wrong_tries == 0


async def test_wrong_birth_dates_count_down_and_the_fifth_kills_the_link_and_makes_a_task(world: World, client: httpx.AsyncClient) -> None:
    new, path = await world.sent()
    for left in ("4 tries", "3 tries", "2 tries", "1 try"):
        page = await send(client, path, WRONG)
        assert page.status_code == 401
        assert f"You have {left} left." in page.text
        assert "<title>Error: " in page.text
    assert (await send(client, path, WRONG)).status_code == 410
    assert (await send(client, path, RIGHT)).status_code == 410
    assert (await client.get(path)).status_code == 410
    (task,) = await world.tasks()
    assert (task.kind, task.focus_id, task.facts["cause"]) == ("staff-check-in", new.check_in_id, "link-dead")


async def test_who_gave_the_last_wrong_date_reads_why_the_link_is_closed_what_comes_next_and_whom_to_call(
    world: World, client: httpx.AsyncClient
) -> None:
    _, path = await world.sent()
    for _ in range(3):
        await send(client, path, WRONG)
    page = await send(client, path, WRONG)
    assert "If that date is wrong too, this link closes." in page.text
    last = await post(client, path, WRONG)
    assert (last.status_code, "location" in last.headers) == (410, False)
    assert "<h1>This link is closed</h1>" in last.text
    assert "was given 5 times" in last.text
    assert "have been asked to call you" in last.text
    assert last.text.count('href="tel:+12125550100"') == 2
    for cold in (await client.get(path), await post(client, path, WRONG)):
        assert cold.text == (await client.get("/c/unknown")).text, "opened anew it tells a stranger nothing"


async def test_a_day_that_is_put_first_is_told_that_the_month_comes_first(world: World, client: httpx.AsyncClient) -> None:
    _, path = await world.sent()
    page = await send(client, path, {"birth_month": "15", "birth_day": "3", "birth_year": "1962"})
    assert "The month is a number from 1 to 12: enter the month first, then the day" in page.text
    other = await send(client, path, {**RIGHT, "birth_day": "31", "birth_month": "2"})
    assert "The month is" not in other.text


async def test_guesses_at_the_same_time_are_all_counted(world: World, client: httpx.AsyncClient) -> None:
    _, path = await world.sent()
    answers = await asyncio.gather(*(post(client, path, WRONG) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [303] * 4 + [410] * 8
    assert (await client.get(path)).status_code == 410
    assert [(row.status, row.wrong_tries) for row in await world.read("SELECT status, wrong_tries FROM patient_link")] == [("dead", 5)]
    assert len(await world.tasks()) == 1


async def test_every_link_that_cannot_be_used_gets_the_same_page(world: World, client: httpx.AsyncClient) -> None:
    unknown = f"/c/{links.token_of(SECRET, world.clinic_id, 1)}"
    used = await signed_in(world, client)
    await send(client, "/c", calm(world))
    client.cookies.clear()
    _, dead = await world.sent()
    for _ in range(5):
        await send(client, dead, WRONG)
    _, cancelled = await world.sent()
    await world.cancel("deceased")
    expired_new, expired = await world.sent()
    world.clock.set(expired_new.expires_at + timedelta(days=4))
    pages = [await client.get(path) for path in (unknown, used, dead, cancelled, expired, "/c", "/c/", "/c/short", "/c/a/b", "/c/%00")]
    pages += [await send(client, path, RIGHT) for path in (unknown, used, dead, cancelled, "/c/short")]
    pages += [await client.get("/c/form/AAAAAAAAAAAA"), await client.get("/c/form/")]
    assert {page.status_code for page in pages} == {410}
    assert len({page.text for page in pages}) == 1
    assert len({tuple(sorted((k, v) for k, v in page.headers.items() if k != "x-request-id")) for page in pages}) == 1


async def test_only_a_form_that_was_sent_is_told_that_nothing_of_it_was_saved(world: World, client: httpx.AsyncClient) -> None:
    """Whoever opens a link once more may have answered, or asked for help, a moment before."""
    used = await signed_in(world, client)
    await send(client, "/c", calm(world))
    for page in (await client.get(used), await client.get("/c"), await send(client, used, RIGHT), await client.get("/c/form/unknown")):
        assert page.status_code == 410
        assert not any(said in page.text.lower() for said in ("nothing was saved", "nobody was told", "not saved"))
        assert "that still holds" in page.text
    sent = await post(client, "/c", calm(world))
    assert sent.status_code == 410
    assert "nothing was saved and nobody was told" in sent.text


async def test_a_page_that_cannot_be_shown_after_answers_were_sent_does_not_call_them_unsaved(
    world: World, client: httpx.AsyncClient
) -> None:
    await signed_in(world, client)
    await send(client, "/c", calm(world))
    reached, world.database = world.database, Database("postgresql+asyncpg://followup@127.0.0.1:1/followup", name="followup")
    try:
        async with browser(app_of(world), cookies=client.cookies) as after:
            page = await form_of(after)
            sent = await post(after, "/c", {"mark": getattr(client, "mark", "")})
    finally:
        await world.database.close()
        world.database = reached
    assert (page.status_code, "Nothing was saved" in page.text) == (503, False)
    assert (sent.status_code, "Nothing was saved." in sent.text) == (503, True)


async def test_a_link_lives_until_late_answers_are_not_taken_any_more(world: World, client: httpx.AsyncClient) -> None:
    new, path = await world.sent()
    end = new.expires_at + world.setup.policy.late_answers_for
    await world.until(end)
    assert (await client.get(path)).status_code == 200
    world.clock.set(end + timedelta(seconds=1))
    assert (await client.get(path)).status_code == 410


async def test_no_link_lives_longer_than_a_week(world: World, client: httpx.AsyncClient) -> None:
    new, path = await world.sent(expires_at=world.clock.now() + timedelta(days=30))
    world.clock.set(new.opens_at + timedelta(days=7, seconds=1))
    assert (await client.get(path)).status_code == 410


async def test_a_session_ends_after_half_an_hour(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    await world.end_sessions()
    assert (await client.get("/c")).status_code == 410


async def test_a_session_dies_with_its_link(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    await world.cancel("withdrawn")
    assert (await client.get("/c")).status_code == 410
    assert (await send(client, "/c", calm(world))).status_code == 410
    assert await world.read("SELECT 1 FROM check_in_answers") == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, 303),
        ({"sec-fetch-site": "cross-site", "origin": PUBLIC_URL}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": PUBLIC_URL}, 303),
        ({"origin": "https://evil.test"}, 403),
        ({"origin": "null"}, 403),
        ({}, 303),
    ],
)
async def test_only_our_own_page_can_send_a_form(world: World, client: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    _, path = await world.sent()
    answer = await client.post(path, content=urlencode(RIGHT), headers={"content-type": FORM, **headers})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (urlencode(RIGHT), "text/plain", 415),
        (urlencode(RIGHT), "multipart/form-data; boundary=x", 415),
        (urlencode(RIGHT), "", 415),
        (urlencode(RIGHT) + "&birth_day=27", FORM, 400),
        (urlencode({**RIGHT, "is_admin": "1"}), FORM, 400),
        ("birth_day", FORM, 400),
        (b"birth_day=\xff", FORM, 400),
        ("birth_day=%ff", FORM, 400),
        ("birth_day=" + "1" * 17_000, FORM, 413),
        ("birth_day=" + "1" * 200_000, FORM, 413),
        ("&".join(f"f{n}=1" for n in range(300)), FORM, 400),
    ],
)
async def test_bad_forms_are_refused_with_a_page(
    world: World, client: httpx.AsyncClient, content: str | bytes, media_type: str, status: int
) -> None:
    _, path = await world.sent()
    page = await client.post(path, content=content, headers={"content-type": media_type, "sec-fetch-site": "same-origin"})
    assert page.status_code == status
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'href="tel:988"' in page.text
    assert (await world.read("SELECT wrong_tries FROM patient_link"))[0].wrong_tries == 0


async def test_with_the_database_away_the_patient_gets_a_page_with_the_numbers(world: World) -> None:
    _, path = await world.sent()
    world.database = Database("postgresql+asyncpg://followup@127.0.0.1:1/followup", name="followup")
    async with browser(app_of(world)) as client:
        page = await client.get(path)
    await world.database.close()
    assert page.status_code == 503
    assert page.headers["retry-after"] == "1"
    assert 'href="tel:911"' in page.text
