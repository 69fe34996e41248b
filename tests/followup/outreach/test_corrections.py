"""An address that is corrected: the link that went to the old one is dead, and what is still asked is asked at the right one, once."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.followup.checkins import links
from services.followup.checkins.models import LinkStatus
from services.followup.outreach.channels import AddressRefused
from services.followup.outreach.corrections import ask_anew
from services.followup.outreach.policy import load_policy
from services.followup.subjects.commands import lock_patients
from tests.followup.checkins.world import SECRET, World
from tests.followup.clinic import Clinic
from tests.followup.outreach.test_worker import Interrupted, fail, lease_ends

RIGHT = "right.one@example.org"


async def corrected(world: World, version: int = 2, **contact: object) -> None:
    """Intake has another address, and its event has come."""
    world.known(world.patient_id, **{"address": RIGHT, "contact_version": version, **contact})
    await told(world, version)


async def told(world: World, version: int) -> None:
    async with world.database.transaction(world.clinic_id) as db:
        await lock_patients(db, [world.patient_id])
        await ask_anew(db, world.patient_id, version, world.clock.now())


async def link_states(world: World) -> list[str]:
    return [row.status for row in await world.read("SELECT status FROM patient_link ORDER BY issue")]


def addressees(world: World) -> list[str]:
    return [message["to"] for message in world.outbox()]


async def test_the_right_address_gets_a_link_and_the_one_that_went_to_the_wrong_one_is_dead(world: World) -> None:
    new, wrong = await world.sent()
    await corrected(world)
    assert await link_states(world) == ["dead"], "at once, not when the next one is made"
    await world.outreach.send_due()
    assert addressees(world) == ["patient@example.org", RIGHT]
    assert await link_states(world) == ["dead", "open"]
    assert world.outbox()[1]["path"] == f"/c/{links.token_of(SECRET, new.check_in_id, 2)}" != wrong
    assert await world.tasks() == []


async def test_told_again_or_of_an_older_way_nothing_more_happens(world: World) -> None:
    await world.sent()
    await corrected(world, 3)
    await world.outreach.send_due()
    for version in (3, 2, 1):
        await told(world, version)
    await world.outreach.send_due()
    assert len(world.outbox()) == 2
    assert await link_states(world) == ["dead", "open"]


async def test_every_open_check_in_is_asked_anew_once_and_what_has_ended_is_not(world: World) -> None:
    after, _ = await world.sent("C24")
    expired, _ = await world.sent("WK", expires_at=world.clock.now() + timedelta(hours=8))
    await world.until(expired.expires_at)
    answered, _ = await world.sent("C72")
    await world.write("UPDATE check_in SET status = 'submitted', submitted_at = now() WHERE check_in_id = :id", id=answered.check_in_id)
    async with world.database.transaction(world.clinic_id) as db:
        await links.close(db, [answered.check_in_id], LinkStatus.USED)
    await corrected(world)
    await world.outreach.send_due()
    state = {row.check_in_id: row.status for row in await world.read("SELECT check_in_id, status FROM patient_link WHERE issue = 1")}
    assert state == {after.check_in_id: "dead", expired.check_in_id: "dead", answered.check_in_id: "used"}
    assert [row.check_in_id for row in await world.read("SELECT check_in_id FROM patient_link WHERE issue = 2")] == [after.check_in_id]
    assert addressees(world).count(RIGHT) == 1


async def test_the_message_to_the_right_address_waits_for_the_morning(world: World) -> None:
    await world.sent("C72", expires_at=world.clock.now() + timedelta(days=3))
    world.clock.set(datetime(2026, 11, 24, 4, 0, tzinfo=UTC))
    await corrected(world)
    await world.outreach.send_due()
    assert await link_states(world) == ["dead"], "23:00 in New York"
    assert len(world.outbox()) == 1
    await world.until(datetime(2026, 11, 24, 13, 0, tzinfo=UTC))
    await world.outreach.send_due()
    assert addressees(world) == ["patient@example.org", RIGHT]


@pytest.mark.parametrize("reason", ["consent-revoked", "opted-out", "no-channel"])
async def test_who_may_not_be_written_to_any_more_is_called_and_the_old_link_is_dead(world: World, reason: str) -> None:
    await world.sent()
    await corrected(world, may_send=False, reason=reason)
    await world.outreach.send_due()
    assert len(world.outbox()) == 1
    assert await link_states(world) == ["dead"]
    assert [task.kind for task in await world.tasks()] == ["staff-check-in"]


async def test_what_had_not_left_leaves_once_to_the_right_address(world: World) -> None:
    await world.opened()
    await corrected(world)
    await world.outreach.send_due()
    await world.outreach.send_due()
    assert addressees(world) == [RIGHT]
    assert await link_states(world) == ["open"]


async def test_what_may_have_left_when_a_process_died_is_called_back(world: World) -> None:
    await world.opened()
    await world.another_outreach(channels={"email": Interrupted(world.channel, after=fail)}).send_due()
    await corrected(world)
    await lease_ends(world)
    await world.outreach.send_due()
    assert addressees(world) == ["patient@example.org", RIGHT]
    assert await link_states(world) == ["dead", "open"]
    assert [(message.issue, message.status) for message in await world.messages()] == [(1, "cancelled"), (2, "sent")]


async def test_what_may_have_left_is_called_back_also_where_only_intakes_answer_tells_of_the_right_address(world: World) -> None:
    await world.opened()
    await world.another_outreach(channels={"email": Interrupted(world.channel, after=fail)}).send_due()
    world.known(world.patient_id, address=RIGHT, contact_version=2)
    await lease_ends(world)
    await world.outreach.send_due()
    assert addressees(world) == ["patient@example.org"], "never the link that somebody else may hold"
    assert await link_states(world) == ["dead"]
    await world.outreach.send_due()
    await told(world, 2)
    await world.outreach.send_due()
    assert addressees(world) == ["patient@example.org", RIGHT]
    assert await link_states(world) == ["dead", "open"]
    assert [(message.issue, message.status) for message in await world.messages()] == [(1, "cancelled"), (2, "sent")]


async def test_an_address_that_changes_while_intake_answers_is_asked_for_again(world: World) -> None:
    await world.opened()
    asking = Interrupted(world.contacts, after=lambda: corrected(world))
    await world.another_outreach(contacts=asking).send_due()
    assert world.outbox() == [], "not to the address that intake has given up meanwhile"
    assert await link_states(world) == []
    await lease_ends(world)
    await world.outreach.send_due()
    assert addressees(world) == [RIGHT]


async def test_an_address_that_an_intake_without_a_count_answered_before_it_changed_is_asked_for_again(world: World) -> None:
    """A replica of the release before answers, and a new one corrects the address, of which is heard before the message leaves."""
    await world.opened()
    world.known(world.patient_id, contact_version=None)
    asking = Interrupted(world.contacts, after=lambda: corrected(world, contact_version=None))
    await world.another_outreach(contacts=asking).send_due()
    assert world.outbox() == [], "its link would have counted as the newest, and never been closed"
    await lease_ends(world)
    await world.outreach.send_due()
    assert addressees(world) == [RIGHT]
    assert await link_states(world) == ["open"]


async def test_an_address_that_changes_while_the_message_leaves_kills_its_link(world: World) -> None:
    await world.opened()
    leaving = Interrupted(world.channel, before=lambda: corrected(world))
    await world.another_outreach(channels={"email": leaving}).send_due()
    assert await link_states(world) == ["dead"]
    await world.outreach.send_due()
    assert addressees(world) == ["patient@example.org", RIGHT]


async def test_an_event_that_comes_after_its_address_was_used_kills_nothing(world: World) -> None:
    await world.opened()
    world.known(world.patient_id, address=RIGHT, contact_version=2)
    await world.outreach.send_due()
    await told(world, 2)
    await world.outreach.send_due()
    assert addressees(world) == [RIGHT]
    assert await link_states(world) == ["open"]


async def test_an_intake_that_does_not_count_the_ways_answers_the_one_of_now(world: World) -> None:
    """As the release before, beside the new one or put back after it."""
    await world.opened()
    await told(world, 2)
    world.known(world.patient_id, address=RIGHT, contact_version=None)
    await world.outreach.send_due()
    assert addressees(world) == [RIGHT]
    await told(world, 2)
    assert await link_states(world) == ["open"], "it went by the newest way"
    await told(world, 3)
    assert await link_states(world) == ["dead"]


async def test_who_is_called_anyhow_gets_no_message_besides(world: World) -> None:
    async def refuse() -> None:
        raise AddressRefused

    await world.opened()
    await world.another_outreach(channels={"email": Interrupted(world.channel, before=refuse)}).send_due()
    assert [task.kind for task in await world.tasks()] == ["staff-check-in"]
    await corrected(world)
    await world.outreach.send_due()
    assert world.outbox() == []
    assert await link_states(world) == ["dead"]


async def test_an_address_that_changes_ever_again_becomes_a_call(world: World) -> None:
    await world.sent()
    for version in range(2, load_policy().links_at_most + 2):
        await corrected(world, version, address=f"number.{version}@example.org")
        await world.outreach.send_due()
    assert len(world.outbox()) == load_policy().links_at_most
    assert [(task.kind, task.status) for task in await world.tasks()] == [("staff-check-in", "requested")]
    assert (await world.messages())[-1].reason == "contact-changes-often"
    assert set(await link_states(world)) == {"dead"}


async def test_another_patients_links_are_not_touched(world: World) -> None:
    other = await world.another_patient(uuid4())
    world.known(other)
    await world.sent(patient_id=other)
    await corrected(world)
    await world.outreach.send_due()
    assert await link_states(world) == ["open"]
    assert len(world.outbox()) == 1


async def test_a_correction_that_intake_tells_calls_the_old_link_back(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.patient(visit)
    await clinic.tell(visit.told())
    await clinic.pass_time(timedelta(hours=23))
    (message,) = await clinic.rows("SELECT message_id, check_in_id FROM message WHERE patient_id = :id", id=visit.patient_id)
    async with clinic.database.transaction(clinic.clinic_id) as db:
        await db.execute(_LINK, {"clinic_id": clinic.clinic_id, "id": message["check_in_id"], "token": uuid4().bytes})
    await clinic.patient(visit, version=2, contact_version=1)
    assert await _states(clinic, message["check_in_id"]) == (["open"], ["queued"])
    await clinic.patient(visit, version=3, contact_version=2)
    assert await _states(clinic, message["check_in_id"]) == (["dead"], ["cancelled", "queued"])
    await clinic.patient(visit, version=4)
    assert await _states(clinic, message["check_in_id"]) == (["dead"], ["cancelled", "queued"]), "an older intake tells no way"


async def _states(clinic: Clinic, check_in_id: UUID) -> tuple[list[str], list[str]]:
    found = [await clinic.rows(f"SELECT status FROM {table} WHERE check_in_id = :id ORDER BY issue", id=check_in_id) for table in _TABLES]  # noqa: S608
    of_links, of_messages = ([row["status"] for row in rows] for rows in found)
    return of_links, of_messages


_TABLES = ("patient_link", "message")
_LINK = text(
    """
    INSERT INTO patient_link (clinic_id, patient_link_id, check_in_id, issue, token_sha256, birth_date_salt, birth_date_hash, wrong_tries,
                              status, language, sender_name, clinic_phone, crisis_line, created_at)
    VALUES (:clinic_id, gen_random_uuid(), :id, 1, :token, '00', '11', 0, 'open', 'en', 'Office', '+1', '988', now())
    """
)
