"""Whose a form is: two links in one browser, forms that are resumed, marks that do not fit, and sessions that are over."""

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from services.followup.checkins.birth_dates import birth_date_hash
from services.followup.pages.seals import Seals, Whose
from tests.followup.checkins.world import SALT, SECRET, World
from tests.followup.pages.browsing import RIGHT, PatientBrowser, app_of, browser, calm, form_of, post, send, signed_in, words

OTHERS_BIRTH_DATE = {"birth_month": "1", "birth_day": "2", "birth_year": "1990"}
CHEST_PAIN = {"body_chest_pain": "3", "call_today": "yes"}


@pytest_asyncio.fixture(loop_scope="session")
async def elsewhere(world: World) -> AsyncIterator[PatientBrowser]:
    """Another browser."""
    async with browser(app_of(world)) as made:
        yield made


async def link_of_another_patient(world: World) -> tuple[UUID, str]:
    """A second patient with a birth date of their own; the id of the check-in and the path of its link."""
    other = await world.another_patient(uuid4())
    world.known(other, birth_date_hash=birth_date_hash(date(1990, 1, 2), SALT))
    new, path = await world.sent(patient_id=other)
    return new.check_in_id, path


async def opened(client: PatientBrowser, path: str, birth_date: dict[str, str] = RIGHT) -> str:
    """A link opened in a tab; returns the mark of the form that stands there."""
    page = await send(client, path, birth_date)
    assert page.status_code == 200
    return client.mark


async def stored(world: World) -> dict[UUID, dict[str, Any]]:
    """Answers by check-in."""
    return {row.check_in_id: row.answers for row in await world.read("SELECT check_in_id, answers FROM check_in_answers")}


async def test_two_patients_in_one_browser_are_each_heard_and_thanked_for_their_own(world: World, client: PatientBrowser) -> None:
    ana, first = await world.sent()
    zoe, second = await link_of_another_patient(world)
    tab_of_ana = await opened(client, first)
    tab_of_zoe = await opened(client, second, OTHERS_BIRTH_DATE)
    page = await send(client, "/c", calm(world, **CHEST_PAIN, mark=tab_of_ana))
    assert "<h1>Thank you</h1>" in page.text
    assert list(await stored(world)) == [ana.check_in_id]
    assert {task.focus_id for task in await world.tasks()} == {ana.check_in_id}
    page = await send(client, "/c", calm(world, sleep_quality=8, mark=tab_of_zoe))
    assert "<h1>Thank you</h1>" in page.text
    answers = await stored(world)
    assert answers[ana.check_in_id]["body_chest_pain"] == 3
    assert (answers[zoe]["body_chest_pain"], answers[zoe]["sleep_quality"]) == (0, 8)


async def test_a_call_for_help_is_that_of_the_tab_in_which_the_button_was_pressed(world: World, client: PatientBrowser) -> None:
    ana, first = await world.sent()
    _, second = await link_of_another_patient(world)
    tab_of_ana = await opened(client, first)
    await opened(client, second, OTHERS_BIRTH_DATE)
    page = await send(client, "/c/help", {"mark": tab_of_ana, "distress": "9"})
    assert "top of the clinic's list" in page.text
    assert [task.focus_id for task in await world.tasks()] == [ana.check_in_id]


async def test_one_patient_with_two_links_answers_each_of_the_two(world: World, client: PatientBrowser) -> None:
    day, first = await world.sent("C24")
    week, second = await world.sent("WK")
    tab_of_day = await opened(client, first)
    tab_of_week = await opened(client, second)
    await send(client, "/c", calm(world, distress=9, mark=tab_of_day))
    assert set(await stored(world)) == {day.check_in_id}
    weekly = {
        item.item_id: {"yes-no": "no", "bother": 1, "scale": 1}[item.kind] for item in world.setup.forms.of_check_in["WK"].items.values()
    }
    assert (await send(client, "/c", {**weekly, "mark": tab_of_week})).status_code == 200
    answers = await stored(world)
    assert (answers[day.check_in_id]["distress"], answers[week.check_in_id]["distress"]) == (9, 1)


async def test_a_form_that_is_opened_again_in_another_tab_can_be_sent_from_either(world: World, client: PatientBrowser) -> None:
    new, path = await world.sent()
    first = await opened(client, path)
    second = await opened(client, path)
    assert first != second
    assert (await send(client, "/c", calm(world, mark=first))).status_code == 200
    assert set(await stored(world)) == {new.check_in_id}
    assert (await send(client, "/c", calm(world, mark=second))).status_code == 200, "the same answers once more"


async def test_other_answers_to_an_answered_form_are_not_thanked_for_and_what_worries_in_them_is_heard(
    world: World, client: PatientBrowser
) -> None:
    await signed_in(world, client)
    await send(client, "/c", calm(world))
    page = await send(client, "/c", calm(world, **CHEST_PAIN))
    assert page.status_code == 409
    assert "<h1>Your form was sent before</h1>" in page.text
    assert "were not saved" in page.text
    (answers,) = (await stored(world)).values()
    assert answers["body_chest_pain"] == 0
    assert [(task.kind, task.priority, task.facts["ended"]) for task in await world.tasks()] == [("safety-review", "asap", "submitted")], (
        "whoever looks is told that these answers are not there"
    )


def forged(world: World) -> dict[str, str]:
    """Marks that no page of ours can have shown."""
    ours, theirs = Seals(SECRET), Seals(b"another secret of thirty-two byte")
    whose = Whose(world.clinic_id, uuid4(), 1)
    unsealed = whose.packed() + bytes(32)
    return {
        "empty": "",
        "plain text": "0",
        "not sealed": urlsafe_b64encode(unsealed).decode(),
        "sealed with another secret": theirs.sealed(b"form", unsealed),
        "a session's token": ours.session(whose),
        "of a check-in that is not there": ours.sealed(b"form", unsealed),
        "in other letters": "m\u0430rk",
        "long": "A" * 9_000,
    }


KINDS = ("empty", "plain text", "not sealed", "sealed with another secret", "a session's token", "of a check-in that is not there", "long")


@pytest.mark.parametrize("kind", [*KINDS, "in other letters"])
async def test_a_form_whose_mark_is_not_ours_saves_nothing_and_says_so(world: World, client: PatientBrowser, kind: str) -> None:
    await signed_in(world, client)
    page = await send(client, "/c", calm(world, **CHEST_PAIN, mark=forged(world)[kind]))
    assert page.status_code == 410
    assert "nothing was saved and nobody was told" in page.text
    assert (await stored(world), await world.tasks()) == ({}, [])
    page = await send(client, "/c/help", {"mark": forged(world)[kind]})
    assert "Nobody at the clinic was told" in page.text
    assert 'href="tel:988"' in page.text
    assert await world.tasks() == []


async def test_a_mark_of_which_one_character_is_changed_is_no_mark(world: World, client: PatientBrowser) -> None:
    await signed_in(world, client)
    for place in (0, 15, 16, 60, 100, len(client.mark) - 1):
        changed = client.mark[:place] + ("A" if client.mark[place] != "A" else "B") + client.mark[place + 1 :]
        assert (await post(client, "/c", calm(world, mark=changed))).status_code == 410, place
    assert await stored(world) == {}


async def test_a_form_without_a_mark_is_nobodys_though_a_session_runs(world: World, client: PatientBrowser) -> None:
    """As a page of the release before sends it."""
    await signed_in(world, client)
    client.cookies.set("__Host-check-in", "a session of the release before")
    assert (await post(client, "/c", calm(world, **CHEST_PAIN))).status_code == 410
    assert "Nobody at the clinic was told" in (await post(client, "/c/help", {})).text
    assert (await stored(world), await world.tasks()) == ({}, [])


async def test_a_mark_that_comes_twice_is_refused_and_says_that_nothing_was_saved(world: World, client: PatientBrowser) -> None:
    await signed_in(world, client)
    headers = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
    twice = f"mark={client.mark}&mark={client.mark}"
    page = await client.post("/c", content=twice, headers=headers)
    assert (page.status_code, "Nothing was saved." in page.text) == (400, True)
    page = await client.post("/c/help", content=twice, headers=headers)
    assert (page.status_code, "Nobody at the clinic was told" in page.text) == (400, True)
    assert await world.tasks() == []


async def test_a_form_from_a_browser_without_its_session_is_not_saved_and_leads_back_to_its_own_link(
    world: World, client: PatientBrowser, elsewhere: PatientBrowser
) -> None:
    """Whoever got hold of the page alone: what worries in it is that patient's, and is heard."""
    ana, first = await world.sent()
    zoe, second = await link_of_another_patient(world)
    tab_of_ana = await opened(client, first)
    await opened(elsewhere, second, OTHERS_BIRTH_DATE)
    page = await send(elsewhere, "/c", calm(world, **CHEST_PAIN, mark=tab_of_ana))
    assert page.status_code == 401
    assert "were not saved" in page.text
    assert re.findall(r'<form method="post" action="([^"]+)" novalidate', page.text) == [first]
    assert await stored(world) == {}
    assert {task.focus_id for task in await world.tasks()} == {ana.check_in_id}
    assert await world.status(zoe) == "open"


async def test_answers_after_the_session_are_heard_told_of_and_come_back_after_the_birth_date(
    world: World, client: PatientBrowser, elsewhere: PatientBrowser
) -> None:
    path = await signed_in(world, client)
    await world.end_sessions()
    page = await send(client, "/c", calm(world, unusual="yes", sleep_quality=7))
    assert page.status_code == 401
    assert "answers that you sent just now were not saved" in page.text
    assert "tel:+12125550100" in page.text
    assert await stored(world) == {}
    assert [(task.kind, task.priority, task.facts["ended"]) for task in await world.tasks()] == [("safety-review", "asap", "session-over")]
    assert 'name="sleep_quality" value="7" checked' not in page.text
    theirs = await send(elsewhere, path, RIGHT)
    assert theirs.status_code == 200
    assert " checked" not in theirs.text, "only the browser that sent them has them"
    back = await send(client, path, RIGHT)
    assert back.status_code == 200
    assert 'name="sleep_quality" value="7" checked' in back.text
    assert "They are not saved yet" in back.text
    assert (await send(client, "/c", calm(world, unusual="yes", sleep_quality=7))).status_code == 200
    (answers,) = (await stored(world)).values()
    assert answers["sleep_quality"] == 7
    assert len(await world.tasks()) == 1
    assert not any("form-" in name for name in client.cookies), "nothing waits any more"


async def test_a_call_for_help_between_leaves_what_waits_and_the_word_that_it_is_not_saved(world: World, client: PatientBrowser) -> None:
    """The button of that page carries the mark alone."""
    path = await signed_in(world, client)
    await world.end_sessions()
    sent = calm(world, sleep_quality=7)
    await send(client, "/c", sent)
    asked = await send(client, "/c/help", {})
    assert "top of the clinic's list" in asked.text
    assert "were not saved" in asked.text
    back = await send(client, path, RIGHT)
    chosen = re.findall(r'name="([a-z_]+)" value="([^"]+)" checked', back.text)
    assert dict(chosen) == {name: str(value) for name, value in sent.items()}
    assert "They are not saved yet" in back.text
    pressed_there = await send(client, "/c/help", {"sleep_quality": "8"})
    assert 'name="sleep_quality" value="8" checked' in pressed_there.text
    assert 'name="distress" value="0" checked' in pressed_there.text
    assert "They are not saved yet" in pressed_there.text


async def test_who_comes_in_anew_after_a_call_for_help_reads_when_it_was_and_of_no_press_now(world: World, client: PatientBrowser) -> None:
    path = await signed_in(world, client)
    pressed = await send(client, "/c/help", {"distress": "9"})
    assert ("You pressed the button for help at" in pressed.text, "<title>Get help now</title>" in pressed.text) == (True, True)
    world.clock.advance(timedelta(minutes=5))
    anew = await send(client, path, RIGHT)
    assert "<title>Your form</title>" in anew.text
    assert re.findall(r"<h1>([^<]+)</h1>", anew.text) == ["Your form"]
    assert "You asked for help at 10:00 am, and the clinic was told." in anew.text
    assert 'name="distress" value="9" checked' in anew.text


async def test_what_the_release_before_left_in_a_browser_is_read(world: World, client: PatientBrowser) -> None:
    await signed_in(world, client)
    await send(client, "/c/help", {"distress": "9"})
    (name,) = [name for name in client.cookies if "form-" in name]
    whose = Seals(SECRET).mark_of(client.mark)
    assert whose is not None
    left = json.dumps({"answers": {"distress": 9}, "note": "help", "missing": []}).encode()
    client.cookies.set(name, Seals(SECRET).sealed(b"draft" + whose.whose.packed(), left), domain="care.test", path="/")
    page = await form_of(client)
    assert "<title>Get help now</title>" in page.text
    assert 'name="distress" value="9" checked' in page.text


async def test_what_waits_for_one_form_is_never_shown_in_another(world: World, client: PatientBrowser) -> None:
    _, path = await world.sent()
    await opened(client, path)
    await send(client, "/c", {"distress": "9"})
    (draft,) = [name for name in client.cookies if "form-" in name]
    waiting = client.cookies[draft]
    _, second = await link_of_another_patient(world)
    await opened(client, second, OTHERS_BIRTH_DATE)
    await send(client, "/c", {"distress": "1"})
    (others,) = [name for name in client.cookies if "form-" in name and name != draft]
    client.cookies.set(others, waiting, domain="care.test", path="/")
    assert 'name="distress" value="9" checked' not in (await form_of(client)).text


async def test_a_call_for_help_after_the_session_is_heard(world: World, client: PatientBrowser) -> None:
    await signed_in(world, client)
    await world.end_sessions()
    page = await send(client, "/c/help", {"distress": "9"})
    assert "top of the clinic's list" in page.text
    assert [task.priority for task in await world.tasks()] == ["stat"]
    assert [row.answers for row in await world.read("SELECT answers FROM check_in_partial")] == [{}], "heard, and not kept"


async def test_a_session_that_was_left_saves_nothing_any_more(world: World, client: PatientBrowser, elsewhere: PatientBrowser) -> None:
    path = await signed_in(world, client)
    copied = dict(client.cookies)
    handle = re.findall(r"check-in-(.+)", next(iter(copied)))[0]
    await client.get(f"/c/leave/{handle}")
    for name, value in copied.items():
        elsewhere.cookies.set(name, value, domain="care.test", path="/")
    page = await send(elsewhere, "/c", calm(world, mark=client.mark))
    assert page.status_code == 401
    assert f'action="{path}"' in page.text
    assert await stored(world) == {}


async def test_leaving_a_page_ends_its_own_session_and_no_other_and_leaving_from_outside_ends_all(
    world: World, client: PatientBrowser
) -> None:
    _, first = await world.sent()
    _, second = await link_of_another_patient(world)
    await opened(client, first)
    (ours,) = client.cookies
    await opened(client, second, OTHERS_BIRTH_DATE)
    await client.get(f"/c/leave/{ours.partition('check-in-')[2]}")
    assert len(await world.read("SELECT 1 FROM platform.check_in_session")) == 1
    assert len(client.cookies) == 1
    await client.get("/c/leave")
    assert await world.read("SELECT 1 FROM platform.check_in_session") == []
    assert len(client.cookies) == 0


async def test_of_the_sessions_of_one_link_the_oldest_ends_first(world: World, client: PatientBrowser) -> None:
    _, path = await world.sent()
    marks = [await opened(client, path) for _ in range(world.setup.policy.sessions_at_most + 2)]
    assert len(await world.read("SELECT 1 FROM platform.check_in_session")) == world.setup.policy.sessions_at_most
    statuses = [(await send(client, "/c", {"mark": mark})).status_code for mark in marks]
    assert statuses == [401] * 2 + [422] * world.setup.policy.sessions_at_most


async def test_a_browser_never_keeps_more_of_ours_than_fits_into_a_header(world: World, client: PatientBrowser) -> None:
    for _ in range(12):
        _, path = await world.sent(opens_at=world.clock.now())
        await opened(client, path)
        await send(client, "/c", calm(world, distress="no answer"))
    sent = sum(len(name) + len(value) + 3 for name, value in client.cookies.items())
    assert (sum("check-in-" in name for name in client.cookies), sum("form-" in name for name in client.cookies)) == (8, 3)
    assert sent < 6_000


async def test_back_and_reload_send_nothing_again(world: World, client: PatientBrowser) -> None:
    """Every page that tells what was done is one that the browser asked for."""
    _, path = await world.sent()
    for address, fields in ((path, RIGHT), ("/c", {}), ("/c/help", {}), ("/c", calm(world))):
        sent = await post(client, address, {**({} if address == path else {"mark": client.mark}), **fields})
        assert sent.status_code == 303
        pages = [await client.get(sent.headers["location"]) for _ in range(2)]
        assert len({words(page) for page in pages}) == 1
    assert "<h1>Thank you</h1>" in (await form_of(client)).text
    assert len(await world.read("SELECT 1 FROM check_in_answers")) == 1
