"""What a page says when a form is over: the cause, what was saved, and what was asked for."""

from datetime import timedelta

import pytest

from services.followup.pages.telling import call_by
from services.followup.tasks.wording import shipped_texts
from shared.clock import FrozenClock
from tests.conftest import NEW_YORK_MORNING
from tests.followup.checkins.world import World
from tests.followup.pages.browsing import PatientBrowser, app_of, browser, calm, form_of, post, send, signed_in, words


async def test_who_asked_for_a_call_reads_until_when_it_should_have_come_and_whom_to_call(world: World, client: PatientBrowser) -> None:
    await signed_in(world, client)
    page = await send(client, "/c", calm(world, call_today="yes", urine_blood="yes"))
    assert "You asked for a call today: call us at" in page.text
    assert "if nobody has called you by 8:00 pm." in page.text
    assert page.text.count('href="tel:+12125550100"') == 2
    assert "next working day" not in page.text, "beside a call by a time that says another"


async def test_the_time_is_that_of_the_patient_and_not_of_the_clinic(world: World, client: PatientBrowser) -> None:
    await signed_in(world, client)
    async with browser(app_of(world, time_zone="America/Los_Angeles"), cookies=client.cookies) as west:
        await post(west, "/c", calm(world, call_today="yes", mark=client.mark))
        assert "if nobody has called you by 5:00 pm." in (await form_of(west)).text


async def test_who_asked_for_no_call_reads_of_none(world: World, client: PatientBrowser) -> None:
    for answer in ("no", "declined"):
        await signed_in(world, client)
        page = await send(client, "/c", calm(world, call_today=answer, urine_blood="yes", body_chest_pain=3))
        assert "asked for a call" not in page.text
        assert "Your answers are saved." in page.text
        assert not any(promise in page.text for promise in ("will call", "will look", "will read"))
        client.cookies.clear()


@pytest.mark.parametrize(
    ("cause", "ended", "said"),
    [
        ("link killed elsewhere", "link-dead", "a wrong date of birth was given too often"),
        ("messages go another way", "link-closed", "does not open any more"),
        ("cookies cleared", "no-session", "This browser does not have what shows"),
        ("session over", "session-over", "30 minutes"),
        ("called off", "cancelled", "does not need this form any more"),
        ("called off after the session", "cancelled", "does not need this form any more"),
        ("expired", "expired", "The time for this form is over."),
        ("clinic closed", "clinic-inactive", "does not work with these pages any more"),
    ],
)
async def test_the_patient_and_whoever_looks_read_the_same_cause_for_which_answers_were_not_saved(
    world: World, client: PatientBrowser, cause: str, ended: str, said: str
) -> None:
    path = await signed_in(world, client)
    [check_in] = await world.read("SELECT * FROM check_in")
    if cause == "link killed elsewhere":
        for _ in range(5):
            await post(client, path, {"birth_month": "1", "birth_day": "1", "birth_year": "1970"})
    elif cause == "messages go another way":
        await world.read("UPDATE patient_link SET status = 'dead' RETURNING 1")
    elif cause == "cookies cleared":
        client.cookies.clear()
    elif cause == "expired":
        world.clock.set(check_in.expires_at + timedelta(days=4))
    elif cause == "clinic closed":
        await world.write("UPDATE clinic SET active = false")
    if cause.startswith("called off"):
        await world.cancel("infusion-entered-in-error")
    if cause in ("session over", "called off after the session"):
        await world.end_sessions()
    async with browser(app_of(world, clinic_active=cause != "clinic closed"), cookies=client.cookies) as sender:
        page = await send(sender, "/c", calm(world, urine_blood="yes", mark=client.mark))
    assert said in " ".join(page.text.split())
    assert "not saved" in page.text
    assert [task.facts["ended"] for task in await world.tasks() if task.kind == "safety-review"] == [ended]
    assert ended in shipped_texts().names["ends"]


async def test_a_call_that_was_taken_back_before_the_form_was_sent_is_not_told_of(world: World, client: PatientBrowser) -> None:
    await signed_in(world, client)
    incomplete = calm(world, call_today="yes")
    del incomplete["unusual"]
    assert (await send(client, "/c", incomplete)).status_code == 422
    assert "asked for a call" not in (await send(client, "/c", calm(world, call_today="no"))).text


def test_a_time_of_another_day_says_which_day() -> None:
    clock = FrozenClock(NEW_YORK_MORNING)
    now = clock.now()
    for hours, said in ((1, "10:00 am"), (3, "12:00 pm"), (15, "12:00 am on Tuesday"), (29, "2:00 pm on Tuesday")):
        told = call_by((now, now + timedelta(hours=hours)), now, "America/New_York")
        assert told is not None
        assert (told.time, told.today) == (said, True)
    later = call_by((now, now + timedelta(hours=1)), now + timedelta(days=1), "America/New_York")
    assert later is not None
    assert (later.time, later.today) == ("10:00 am on Monday", False)


CAUSES = {
    "infusion-entered-in-error": "The clinic does not need this form any more.",
    "superseded": "A newer form takes the place of this one.",
    "too many tries": "a wrong date of birth was given too often",
    "messages go another way": "The link that you used does not open any more.",
    "expired": "The time for this form is over.",
}


@pytest.mark.parametrize(("cause", "said"), CAUSES.items())
async def test_who_is_signed_in_reads_why_the_form_has_ended_and_whom_to_call(
    world: World, client: PatientBrowser, cause: str, said: str
) -> None:
    path = await signed_in(world, client)
    [check_in] = await world.read("SELECT * FROM check_in")
    if cause == "superseded":
        await world.supersede([check_in.check_in_id])
    elif cause == "too many tries":
        for _ in range(5):
            await post(client, path, {"birth_month": "1", "birth_day": "1", "birth_year": "1970"})
    elif cause == "messages go another way":
        await world.read("UPDATE patient_link SET status = 'dead' RETURNING 1")
    elif cause == "expired":
        world.clock.set(check_in.expires_at + timedelta(days=4))
    else:
        await world.cancel(cause)
    page = await form_of(client)
    assert page.status_code == 410
    assert said in " ".join(page.text.split())
    assert "tel:+12125550100" in page.text
    sent = await send(client, "/c", calm(world))
    assert "The answers that you sent just now were not saved." in sent.text
    assert words(sent) != words(page)
    assert (await client.get(path)).text == (await client.get("/c/unknown")).text
