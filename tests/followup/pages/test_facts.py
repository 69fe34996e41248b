"""What a page shows and checks is what intake says at that moment; without intake it is the last that is known."""

from dataclasses import replace
from datetime import date, timedelta

import httpx
import pytest

from services.followup.checkins.birth_dates import NOT_KEPT, BirthDates, Hashed, birth_date_hash
from services.followup.checkins.links import keep
from services.followup.checkins.models import PatientLink
from services.followup.checkins.old_birth_dates import OldBirthDates
from shared.telemetry import Metrics
from tests.followup.checkins.world import BORN, SALT, SECRET, World
from tests.followup.pages.browsing import RIGHT, WRONG, PatientBrowser, app_of, browser, calm, form_of, post, send, signed_in

CORRECTED = {"birth_month": "9", "birth_day": "16", "birth_year": "1984"}


async def tries(world: World) -> list[int]:
    return [row.wrong_tries for row in await world.read("SELECT wrong_tries FROM patient_link ORDER BY created_at")]


def corrected(world: World) -> None:
    """Intake has another birth date, under a new salt as at every answer."""
    salt = "a5" * 16
    world.known(world.patient_id, birth_date_salt=salt, birth_date_hash=birth_date_hash(date(1984, 9, 16), salt))


async def test_a_birth_date_that_was_corrected_opens_a_link_that_was_out_before(world: World, client: PatientBrowser) -> None:
    _, path = await world.sent()
    corrected(world)
    assert (await send(client, path, RIGHT)).status_code == 401
    assert (await send(client, path, CORRECTED)).status_code == 200
    assert await tries(world) == [1]


async def test_without_intake_the_last_known_birth_date_counts(world: World, client: PatientBrowser) -> None:
    _, path = await world.sent()
    world.contacts.away = True
    assert (await send(client, path, RIGHT)).status_code == 200
    world.contacts.away = False
    corrected(world)
    assert (await send(client, path, RIGHT)).status_code == 401
    world.contacts.away = True
    assert (await send(client, path, RIGHT)).status_code == 401, "what intake said last is known from then on"
    assert (await send(client, path, CORRECTED)).status_code == 200


async def test_numbers_and_names_are_those_of_now_and_without_intake_the_last_known(world: World, client: PatientBrowser) -> None:
    path = await signed_in(world, client)
    world.known(world.patient_id, sender_name="Harbor Office", clinic_phone="+1 312 555 0142", crisis_line="+1 312 555 0199")
    for page in (await client.get(path), await form_of(client), await send(client, "/c/help", {}), await send(client, "/c", calm(world))):
        assert "+1 212 555 0100" not in page.text
        assert all(said in page.text for said in ("Harbor Office", "+1 312 555 0142", "+1 312 555 0199"))
    world.contacts.away = True
    assert "+1 212 555 0100" in (await form_of(client)).text, "known when the birth date was given"


async def test_a_dead_link_asks_intake_nothing(world: World, client: PatientBrowser) -> None:
    _, path = await world.sent()
    await world.cancel("deceased")
    before = world.contacts.asked
    assert (await client.get(path)).status_code == 410
    assert (await send(client, path, RIGHT)).status_code == 410
    assert world.contacts.asked == before


UNREAD = "Nobody there reads what you send here."


async def test_the_link_of_an_inactive_clinic_says_that_nobody_reads_it(world: World) -> None:
    _, path = await world.sent()
    async with browser(app_of(world, clinic_active=False)) as client:
        for page in (await client.get(path), await send(client, path, RIGHT), await send(client, path, WRONG)):
            assert page.status_code == 410
            assert UNREAD in page.text
            assert 'href="tel:988"' in page.text
            assert "next working day" not in page.text
            assert "+1 212 555 0100" not in page.text
    assert await world.read("SELECT 1 FROM platform.check_in_session") == []
    assert await tries(world) == [0]


@pytest.mark.parametrize("away", [False, True], ids=["intake says so", "the last that is known"])
async def test_a_form_of_a_clinic_that_became_inactive_saves_nothing_and_promises_nothing(
    world: World, client: PatientBrowser, away: bool
) -> None:
    await signed_in(world, client)
    await world.write("UPDATE clinic SET active = false")
    world.contacts.away = away
    async with browser(app_of(world, clinic_active=False), cookies=client.cookies) as after:
        opened = (await form_of(after)).text
        assert (UNREAD in opened, "I need help now" in opened, "Numbers to call now" in opened) == (True, False, True)
        page = await send(after, "/c", calm(world, mark=client.mark, urine_blood="yes"))
        assert (page.status_code, UNREAD in page.text, "were not saved" in page.text) == (410, True, True)
        page = await send(after, "/c/help", {"mark": client.mark})
        assert "nobody there will see that you need help" in page.text
        assert "top of the clinic's list" not in page.text
        assert 'href="tel:911"' in page.text
    assert await world.read("SELECT 1 FROM check_in_answers") == []
    assert {task.priority for task in await world.tasks()} == {"asap", "stat"}, "the record stays, whoever reads it"


def every_date() -> list[date]:
    return [date(1960, 1, 1) + timedelta(days=days) for days in range(15_000)]


async def test_no_birth_date_can_be_tried_out_on_a_copy_of_the_database(world: World, client: httpx.AsyncClient) -> None:
    await world.sent()
    (link,) = await world.read("SELECT * FROM patient_link")
    assert link.birth_date_salt == NOT_KEPT
    assert BORN in every_date()
    copied = str(link)
    assert not any(birth_date_hash(tried, SALT) in copied for tried in every_date())
    another = BirthDates(b"another secret of thirty-two byte")
    assert not another.fits(BORN, link.birth_date_hash)
    assert [tried for tried in every_date() if BirthDates(SECRET).fits(tried, link.birth_date_hash)] == [BORN]


async def test_a_link_that_is_used_or_dead_keeps_nothing_of_a_birth_date(world: World, client: PatientBrowser) -> None:
    await signed_in(world, client)
    await send(client, "/c", calm(world))
    _, killed = await world.sent()
    for _ in range(5):
        await send(client, killed, WRONG)
    await world.sent()
    await world.cancel("patient-withdrawn")
    kept = await world.read("SELECT birth_date_salt, birth_date_hash FROM patient_link")
    assert [tuple(row) for row in kept] == [(NOT_KEPT, NOT_KEPT)] * 3


async def as_before(world: World, born: date = BORN) -> None:
    """Links as the release before keeps them."""
    await world.write(
        "UPDATE patient_link SET birth_date_salt = :salt, birth_date_hash = :hash",
        salt=SALT,
        hash=birth_date_hash(born, SALT),
    )


async def test_a_link_of_the_release_before_opens_and_loses_what_can_be_tried_out(world: World, client: PatientBrowser) -> None:
    _, path = await world.sent()
    await as_before(world)
    world.contacts.away = True
    assert (await send(client, path, WRONG)).status_code == 401
    (link,) = await world.read("SELECT * FROM patient_link")
    assert link.birth_date_salt == NOT_KEPT
    assert birth_date_hash(BORN, SALT) not in link.birth_date_hash
    assert (await send(client, path, RIGHT)).status_code == 200


async def test_all_links_of_the_release_before_lose_it_though_nobody_opens_them(world: World, client: PatientBrowser) -> None:
    await signed_in(world, client)
    await send(client, "/c", calm(world))
    _, path = await world.sent()
    await as_before(world)
    await world.write(
        "INSERT INTO platform.client (client_id, clinic_id, active, may_act, version) VALUES ('A system', :id, true, true, 1)",
        id=world.clinic_id,
    )
    await OldBirthDates(world.database, BirthDates(SECRET), Metrics("followup")).seal_all()
    links = await world.read("SELECT * FROM patient_link ORDER BY created_at")
    assert {link.birth_date_salt for link in links} == {NOT_KEPT}
    assert [link.birth_date_hash == NOT_KEPT for link in links] == [True, False]
    assert not any(birth_date_hash(BORN, SALT) in link.birth_date_hash for link in links)
    world.contacts.away = True
    assert (await send(client, path, RIGHT)).status_code == 200


async def test_what_the_release_before_writes_beside_us_is_newer_than_a_proof(world: World, client: PatientBrowser) -> None:
    _, path = await world.sent()
    hashed = Hashed(SALT, birth_date_hash(date(1984, 9, 16), SALT))
    await world.write("UPDATE patient_link SET birth_date_salt = :salt, birth_date_hash = :hash", salt=hashed.salt, hash=hashed.value)
    world.contacts.away = True
    assert (await send(client, path, RIGHT)).status_code == 401
    assert (await send(client, path, CORRECTED)).status_code == 200


async def test_a_message_that_is_sent_again_takes_over_what_intake_says_now(world: World) -> None:
    await world.sent()
    (stored,) = await world.read("SELECT * FROM patient_link")
    proof = BirthDates(SECRET).proof(Hashed("00", birth_date_hash(date(1984, 9, 16), "00")))
    async with world.database.transaction(world.clinic_id) as db:
        again = PatientLink(
            **{**stored._asdict(), "birth_date_salt": NOT_KEPT, "birth_date_hash": proof, "clinic_phone": "+1 312 555 0142"}
        )
        await keep(db, again)
    (link,) = await world.read("SELECT * FROM patient_link")
    assert (link.birth_date_hash, link.birth_date_salt, link.clinic_phone) == (proof, NOT_KEPT, "+1 312 555 0142")


async def test_wrong_birth_dates_from_one_address_have_to_wait_and_nobody_elses(world: World) -> None:
    policy = replace(world.setup.policy, wrong_tries_per_address=2)
    world.setup = replace(world.setup, policy=policy)
    async with browser(app_of(world)) as client:
        paths = [(await world.sent())[1] for _ in range(3)]
        here, there = {"x-forwarded-for": "8.8.8.8"}, {"x-forwarded-for": "9.9.9.9"}
        for path in paths[:2]:
            assert (await post(client, path, WRONG, **here)).status_code == 303
        limited = await post(client, paths[2], RIGHT, **here)
        assert limited.status_code == 429
        assert int(limited.headers["retry-after"]) >= 1
        assert 'href="tel:988"' in limited.text
        assert (await post(client, "/c/unknown", WRONG, **here)).text == limited.text, "whatever the link is"
        assert await tries(world) == [1, 1, 0]
        assert (await post(client, paths[2], RIGHT, **there)).status_code == 303
        for _ in range(4):
            assert (await post(client, paths[2], WRONG)).status_code == 303, "of whom it is not known where they are"
