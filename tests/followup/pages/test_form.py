import asyncio
import json
import re
from datetime import timedelta

import httpx
import pytest
import structlog

from services.followup.checkins.models import CheckInStatus
from services.followup.outreach.texts import load_texts
from tests.followup.checkins.world import BORN, World
from tests.followup.pages.browsing import calm, form_of, send, signed_in, words
from tests.followup.pages.states import all_pages


async def test_answers_are_stored_once_and_thanked_for(world: World, client: httpx.AsyncClient) -> None:
    path = await signed_in(world, client)
    page = await send(client, "/c", calm(world, distress=6))
    assert page.status_code == 200
    assert "<title>Thank you</title>" in page.text
    (stored,) = await world.read("SELECT answers FROM check_in_answers")
    assert stored.answers["distress"] == 6
    assert [row.status for row in await world.read("SELECT status FROM check_in")] == [CheckInStatus.SUBMITTED]
    client.cookies.clear()
    assert (await client.get(path)).status_code == 410


async def test_sending_twice_is_thanked_for_twice_and_stored_once(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    pages = await asyncio.gather(*(send(client, "/c", calm(world, urine_blood="yes")) for _ in range(4)))
    assert [page.status_code for page in pages] == [200] * 4
    assert len({words(page) for page in pages}) == 1
    assert len(await world.read("SELECT 1 FROM check_in_answers")) == 1
    assert len(await world.tasks()) == 1


async def test_after_sending_the_session_shows_thanks_and_no_answer(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    await send(client, "/c", calm(world, urine_blood="yes"))
    page = await form_of(client)
    assert "<title>Thank you</title>" in page.text
    assert "blood" not in page.text


async def test_worrying_answers_look_no_different_to_the_patient(world: World, client: httpx.AsyncClient) -> None:
    """What the page says must not depend on what was answered: the same numbers for everybody."""
    await signed_in(world, client)
    worrying = await send(client, "/c", calm(world, urine_blood="yes", body_chest_pain=3))
    client.cookies.clear()
    await signed_in(world, client)
    calm_page = await send(client, "/c", calm(world))
    assert words(worrying) == words(calm_page)


async def test_a_question_about_safety_must_be_answered_or_declined(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    answers = calm(world, distress=7)
    del answers["unusual"], answers["body_headache"]
    page = await send(client, "/c", answers)
    assert page.status_code == 422
    assert "<title>Error: Your form</title>" in page.text
    assert '<a href="#unusual-0">Choose an answer: hearing or seeing things, or people against you</a>' in page.text
    assert "Only questions with a star (*) need an answer" in page.text
    assert page.text.count('choose "I do not want to say"') == 1
    assert 'id="unusual-0"' in page.text
    assert "#body_headache-0" not in page.text, "the others may be left out"
    assert re.search(r'name="distress" value="7" checked', page.text), "what was chosen stays chosen"
    assert await world.read("SELECT 1 FROM check_in_answers") == []
    assert (await send(client, "/c", {**answers, "unusual": "declined"})).status_code == 200
    assert [task.priority for task in await world.tasks()] == ["routine"]


@pytest.mark.parametrize("value", ["11", "-1", "1e999", "NaN", "true", "yes", "<script>alert(1)</script>", "=HYPERLINK()", "7 ", "\u202e7"])
async def test_an_answer_that_is_none_of_the_options_is_asked_again_and_never_shown(
    world: World, client: httpx.AsyncClient, value: str
) -> None:
    await signed_in(world, client)
    page = await send(client, "/c", calm(world, distress=value))
    assert page.status_code == 422
    assert "#distress-0" in page.text
    assert "<script" not in page.text
    assert "HYPERLINK" not in page.text
    assert await world.read("SELECT 1 FROM check_in_answers") == []


@pytest.mark.parametrize(("code", "minutes"), [("C24", 5), ("WK", 6)])
async def test_the_page_before_the_form_says_how_long_that_form_takes(
    world: World, client: httpx.AsyncClient, code: str, minutes: int
) -> None:
    _, path = await world.sent(code)
    assert f"It takes about {minutes} minutes." in (await client.get(path)).text
    assert "It takes 5 to 10 minutes." in load_texts()["en"].text, "as the message says of all"


async def test_what_worries_in_a_form_that_is_sent_back_counts_at_once(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    answers = calm(world, urine_blood="yes")
    del answers["unusual"]
    await send(client, "/c", answers)
    assert [(task.kind, task.priority) for task in await world.tasks()] == [("safety-review", "asap")]
    await send(client, "/c", {**answers, "unusual": "no"})
    assert len(await world.tasks()) == 1


async def test_i_need_help_now_shows_numbers_at_once_tells_the_clinic_and_keeps_the_form(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    page = await send(client, "/c/help", {"distress": "9"})
    assert page.status_code == 200
    assert "<title>Get help now</title>" in page.text
    assert page.text.index('href="tel:911"') < page.text.index('name="distress"')
    assert page.text.count('href="tel:988"') == 1
    assert re.search(r'name="distress" value="9" checked', page.text)
    (task,) = await world.tasks()
    assert (task.priority, task.due_at) == ("stat", world.clock.now() + timedelta(minutes=15))
    assert (await send(client, "/c", calm(world))).status_code == 200


async def test_help_can_be_asked_for_after_the_answers_were_sent(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    thanks = await send(client, "/c", calm(world))
    assert 'action="/c/help"' in thanks.text
    page = await send(client, "/c/help", {})
    assert page.status_code == 200
    assert [task.priority for task in await world.tasks()] == ["stat"]


async def test_without_a_session_help_is_the_numbers_and_nothing_else(world: World, client: httpx.AsyncClient) -> None:
    await world.sent()
    for page in (await client.get("/c/help"), await send(client, "/c/help", {})):
        assert page.status_code == 200
        assert 'href="tel:988"' in page.text
        said = page.text.partition("</h1>")[2].strip()
        assert said.startswith("<p><strong>Nobody at the clinic was told"), "first of all"
    assert await world.tasks() == []


async def test_the_quick_exit_forgets_the_session(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    before = await form_of(client)
    assert before.status_code == 200
    (handle,) = re.findall(r'href="/c/leave/([^"]+)"', before.text)
    answer = await client.get(f"/c/leave/{handle}")
    assert (answer.status_code, answer.headers["location"]) == (303, "https://www.weather.gov/")
    assert await world.read("SELECT 1 FROM platform.check_in_session") == []
    assert not client.cookies
    assert (await client.get(f"/c/form/{handle}")).status_code == 410


async def test_every_page_has_the_numbers_the_warning_the_exit_and_strict_headers(world: World, client: httpx.AsyncClient) -> None:
    for name, page in (await all_pages(world, client)).items():
        assert 'href="tel:988"' in page.text, name
        assert 'href="tel:911"' in page.text, name
        assert "press 1, or text" in page.text, name
        assert ("not watched in real time" in page.text) is (not name.startswith("nobody reads")), name
        assert 'href="/c/leave' in page.text, name
        tells = 'action="/c/help"' in page.text or 'formaction="/c/help"' in page.text
        assert ("I need help now" in page.text) is tells, f"{name}: what says so tells the clinic"
        assert tells is not ("Numbers to call now" in page.text) or name == "help that reaches nobody", name
        assert '<html lang="en">' in page.text, name
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'; form-action 'self'"), name
        assert page.headers["referrer-policy"] == "no-referrer", name
        assert page.headers["x-robots-tag"] == "noindex, nofollow", name
        assert page.headers["cache-control"] == "no-store", name
        assert page.headers["x-content-type-options"] == "nosniff", name
        assert page.headers["strict-transport-security"], name


async def test_no_page_loads_anything_from_elsewhere_or_needs_a_script(world: World, client: httpx.AsyncClient) -> None:
    for name, page in (await all_pages(world, client)).items():
        assert "<script" not in page.text, name
        assert "style=" not in page.text, name
        loaded = re.findall(r'(?:src|action|<link[^>]*href)="([^"]*)"', page.text)
        assert all(address.startswith("/c") for address in loaded), name
    style = await client.get("/c/static/page.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "url(" not in style.text


async def test_errors_are_named_in_the_title_and_lead_to_their_fields(world: World, client: httpx.AsyncClient) -> None:
    for name, page in (await all_pages(world, client)).items():
        wrong = name in {"no date", "day first", "wrong date", "form with errors", "refused", "too many tries"}
        assert ("<title>Error: " in page.text) is wrong, name
        anchors = set(re.findall(r'href="#([^"]+)"', page.text))
        assert anchors <= set(re.findall(r' id="([^"]+)"', page.text)), name


async def test_no_page_tells_who_is_asked_or_about_what(world: World, client: httpx.AsyncClient) -> None:
    forbidden = ("ketamine", "infusion", "ptsd", "trauma", "psychiatr", "P-000001", str(world.patient_id), BORN.isoformat())
    for name, page in (await all_pages(world, client)).items():
        assert not any(word in page.text.lower() for word in map(str.lower, forbidden)), name


async def test_neither_token_nor_session_nor_answer_comes_into_the_log(world: World, client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as lines:
        path = await signed_in(world, client)
        await send(client, "/c", calm(world, distress=9))
    logged = json.dumps(lines, default=str)
    assert len(lines) >= 3
    assert path.removeprefix("/c/") not in logged
    assert not any(value in logged for value in client.cookies.values())
    assert "distress" not in logged
