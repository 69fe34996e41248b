from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from services.followup.outreach.corrections import ask_anew
from services.followup.subjects.commands import lock_patients
from tests.followup.checkins.world import World
from tests.support.databases import Databases

HOUR = timedelta(hours=1)


async def test_without_an_answer_it_goes_overdue_then_to_a_person_and_expires(world: World) -> None:
    new = await world.opened("C24")
    await world.until(new.due_at - timedelta(seconds=1))
    assert await world.status(new.check_in_id) == "open"
    await world.until(new.due_at)
    assert await world.status(new.check_in_id) == "overdue"
    assert await world.tasks() == []
    await world.until(new.due_at + 2 * HOUR)
    (task,) = await world.tasks()
    assert (task.kind, task.focus_id, task.priority, task.status) == ("check-in-overdue-call", new.check_in_id, "routine", "requested")
    assert task.due_at == datetime(2026, 11, 24, 1, 0, tzinfo=UTC), "the evening of the day in New York"
    await world.until(new.expires_at)
    assert await world.status(new.check_in_id) == "expired"
    assert len(await world.tasks()) == 1


async def test_overdue_is_told_once(world: World) -> None:
    new = await world.opened("C24")
    await world.until(new.expires_at)
    ((kind, event),) = await world.events()
    assert kind == "followup.check-in.overdue.v1"
    assert event["check_in_id"] == str(new.check_in_id)
    assert event["infusion_id"] == str(new.infusion_id)
    assert event["code"] == "C24"


async def test_other_check_ins_become_a_call_a_day_after_they_were_due(world: World) -> None:
    new = await world.opened("C72", expires_at=world.clock.now() + 100 * HOUR)
    await world.until(new.due_at + 24 * HOUR - timedelta(seconds=1))
    assert await world.tasks() == []
    await world.until(new.due_at + 24 * HOUR)
    assert [task.kind for task in await world.tasks()] == ["check-in-overdue-call"]


async def test_a_call_says_whether_the_patient_did_not_answer_or_may_not_have_been_asked(world: World) -> None:
    silent, _ = await world.sent("C24")
    world.contacts.away = True
    unsent = await world.opened("C72")
    await world.outreach.send_due()
    await world.until(unsent.due_at + 24 * HOUR)
    because = {task.focus_id: task.reason for task in await world.tasks("check-in-overdue-call")}
    assert because == {silent.check_in_id: "not-answered", unsent.check_in_id: "not-sent-in-time"}


async def test_one_whose_only_message_went_to_a_wrong_address_may_not_have_been_asked(world: World) -> None:
    new, _ = await world.sent("C24")
    async with world.database.transaction(world.clinic_id) as db:
        await lock_patients(db, [world.patient_id])
        await ask_anew(db, world.patient_id, 2, world.clock.now())
    await world.until(new.due_at + 2 * HOUR)
    assert [task.reason for task in await world.tasks()] == ["not-sent-in-time"]


async def test_one_that_expires_at_the_hour_of_its_call_is_called_about(world: World) -> None:
    new = await world.opened("C72", expires_at=world.clock.now() + 31 * HOUR)
    assert new.expires_at == new.due_at + 24 * HOUR
    await world.until(new.expires_at)
    assert await world.status(new.check_in_id) == "expired"
    assert [task.kind for task in await world.tasks()] == ["check-in-overdue-call"]


async def test_a_message_that_falls_into_the_night_leaves_in_the_morning(world: World) -> None:
    new = await world.opened("C72", opens_at=datetime(2026, 11, 24, 2, 0, tzinfo=UTC))
    assert new.opens_at.hour == 2, "21:00 in New York"
    await world.outreach.send_due()
    assert world.outbox() == []
    (message,) = await world.messages()
    assert message.leaves_at == datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
    await world.until(datetime(2026, 11, 24, 13, 0, tzinfo=UTC))
    await world.outreach.send_due()
    assert len(world.outbox()) == 1


async def test_one_that_had_expired_before_it_could_open_sends_nothing_and_becomes_a_call(world: World) -> None:
    """The service was away for two days."""
    new = await world.requested("C24")
    await world.until(new.expires_at + 18 * HOUR)
    assert await world.status(new.check_in_id) == "expired"
    assert await world.messages() == []
    (call,) = await world.tasks()
    assert (call.kind, call.reason, call.priority) == ("catch-up-call", "never-asked", "urgent")
    assert call.due_at == world.clock.now() + 4 * HOUR


async def test_after_an_outage_one_call_lists_all_that_a_patient_could_not_be_asked(world: World) -> None:
    asked = [await world.requested(code) for code in ("C24", "C72", "WK")]
    of_another = await world.requested(patient_id=await world.another_patient(uuid4()))
    await world.until(asked[0].expires_at + 60 * HOUR)
    calls = await world.tasks()
    assert {call.kind for call in calls} == {"catch-up-call"}
    listed = {call.patient_id: sorted(item["id"] for item in call.details["items"]) for call in calls}
    assert listed == {
        world.patient_id: sorted(str(one.check_in_id) for one in asked),
        of_another.patient_id: [str(of_another.check_in_id)],
    }
    assert len(calls) == 2


async def test_one_that_could_not_be_asked_joins_the_call_that_is_open(world: World) -> None:
    first = await world.requested("C24")
    await world.until(first.expires_at + 18 * HOUR)
    later = await world.requested("C72", opens_at=world.clock.now() - 60 * HOUR)
    await world.until(world.clock.now() + 30 * HOUR)
    (call,) = await world.tasks()
    assert {item["id"] for item in call.details["items"]} == {str(first.check_in_id), str(later.check_in_id)}
    assert (call.reason, sorted(call.facts["missed"])) == ("missed-several", ["C24", "C72"])


async def test_one_that_was_asked_and_stayed_silent_is_a_call_of_its_own(world: World) -> None:
    new = await world.opened("C24")
    await world.until(new.expires_at + 18 * HOUR)
    assert [task.kind for task in await world.tasks()] == ["check-in-overdue-call"]


async def test_what_was_not_sent_before_it_expired_is_not_sent_afterwards(world: World) -> None:
    world.contacts.away = True
    new = await world.opened("C24")
    await world.outreach.send_due()
    await world.until(new.expires_at)
    world.contacts.away = False
    await world.outreach.send_due()
    assert world.outbox() == []
    assert [(message.status, message.reason) for message in await world.messages()] == [("cancelled", "expired")]


async def test_the_form_is_fixed_when_it_opens(world: World) -> None:
    after, weekly = await world.opened("C24"), await world.opened("WK")
    row = await world.check_in(after.check_in_id)
    assert (row.form_code, row.form_version) == ("safety-set", 1)
    row = await world.check_in(weekly.check_in_id)
    assert (row.form_code, row.form_version) == ("safety-set-weekly", 1)


async def test_a_timer_that_fires_twice_changes_nothing_the_second_time(world: World) -> None:
    new = await world.opened("C24")
    await world.write("UPDATE platform.timer SET state = 'armed' WHERE kind = 'check-in-open'")
    await world.until(new.opens_at + HOUR)
    assert (await world.check_in(new.check_in_id)).version == 2
    assert len(await world.messages()) == 1


async def test_a_patient_who_is_called_about_it_anyhow_is_not_called_twice(world: World) -> None:
    world.known(world.patient_id, may_send=False, reason="opted-out")
    new = await world.opened("C24")
    await world.outreach.send_due()
    await world.until(new.expires_at)
    assert [task.kind for task in await world.tasks()] == ["staff-check-in"]


@pytest_asyncio.fixture(loop_scope="session")
async def states_of_a_later_release(world: World, databases: Databases) -> AsyncIterator[None]:
    """A later release may write states that this one does not know; its migration has let them in."""
    [known] = await world.read(
        "SELECT current_database() AS base, pg_get_constraintdef(oid) AS states FROM pg_constraint WHERE conname = 'ck_check_in_status'"
    )
    admin = await databases.server.admin(known.base)
    await admin.execute("ALTER TABLE check_in DROP CONSTRAINT ck_check_in_status")
    yield
    await admin.execute("UPDATE check_in SET status = 'expired' WHERE status = 'later-state'")
    await admin.execute(f"ALTER TABLE check_in ADD CONSTRAINT ck_check_in_status {known.states}")
    await admin.close()


@pytest.mark.usefixtures("states_of_a_later_release")
@pytest.mark.parametrize("timer", ["check-in-overdue", "check-in-expire"])
async def test_a_check_in_in_a_state_of_a_later_release_keeps_its_timers_for_a_process_that_knows_it(world: World, timer: str) -> None:
    new = await world.opened("C24")
    known = await world.status(new.check_in_id)
    await world.write("UPDATE check_in SET status = 'later-state' WHERE check_in_id = :id", id=new.check_in_id)
    await world.until(new.expires_at)
    kept = "SELECT 1 FROM platform.timer WHERE subject_id = :id AND kind = :kind AND state = 'armed'"
    assert await world.read(kept, id=new.check_in_id, kind=timer)
    await world.write("UPDATE check_in SET status = :known WHERE check_in_id = :id", known=known, id=new.check_in_id)
    await world.until(new.expires_at + 4 * HOUR)
    assert await world.status(new.check_in_id) == "expired"


async def test_a_check_in_of_a_kind_that_a_later_release_asks_waits_for_it_and_holds_up_no_other(world: World) -> None:
    later, other = await world.requested("C48"), await world.requested("C24")
    await world.until(other.opens_at)
    assert await world.status(other.check_in_id) == "open"
    assert await world.status(later.check_in_id) == "planned"
    armed = "SELECT 1 FROM platform.timer WHERE subject_id = :id AND state = 'armed'"
    assert await world.read(armed, id=later.check_in_id)
