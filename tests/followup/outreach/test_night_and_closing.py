"""No message leaves at night where the patient is now, and none of a clinic that is inactive."""

from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import text

from services.followup.outreach import commands as outreach
from tests.followup.checkins.world import World
from tests.followup.clinic import Clinic, at

TOKYO_MORNING = datetime(2026, 11, 23, 23, 0, tzinfo=UTC)


async def moved_on(world: World) -> None:
    """What the handler does when intake tells of a changed patient."""
    async with world.database.transaction(world.clinic_id) as db:
        await outreach.look_again(db, world.patient_id, world.clock.now())


async def test_who_moved_to_where_it_is_night_is_written_to_in_the_morning_there(world: World) -> None:
    await world.opened()
    world.known(world.patient_id, time_zone="Asia/Tokyo")
    await world.outreach.send_due()
    assert world.outbox() == []
    assert [message.leaves_at for message in await world.messages()] == [TOKYO_MORNING]
    await world.until(TOKYO_MORNING)
    await world.outreach.send_due()
    assert len(world.outbox()) == 1


async def test_a_zone_that_changes_while_the_message_waits_is_judged_again_in_the_morning(world: World) -> None:
    await world.opened()
    world.known(world.patient_id, time_zone="Asia/Tokyo")
    await world.outreach.send_due()
    world.known(world.patient_id, time_zone="America/Los_Angeles")
    await world.until(datetime(2026, 11, 24, 6, 0, tzinfo=UTC))
    await world.outreach.send_due()
    assert world.outbox() == [], "22:00 in Los Angeles"


async def test_who_is_by_daylight_again_does_not_wait_for_a_morning_elsewhere(world: World) -> None:
    await world.opened()
    world.known(world.patient_id, time_zone="Asia/Tokyo")
    await world.outreach.send_due()
    world.known(world.patient_id, time_zone="America/New_York")
    await moved_on(world)
    await world.outreach.send_due()
    assert len(world.outbox()) == 1


async def test_what_asks_later_does_not_leave_sooner_for_a_changed_patient(world: World) -> None:
    new = await world.opened()
    later = new.opens_at + timedelta(hours=2)
    await world.write("UPDATE check_in SET opens_at = :later WHERE check_in_id = :id", id=new.check_in_id, later=later)
    async with world.database.transaction(world.clinic_id) as db:
        await outreach.follow(db, {}, {new.check_in_id: later})
    await moved_on(world)
    assert [message.leaves_at for message in await world.messages()] == [later]
    assert await world.outreach.send_due() == 0


async def test_an_inactive_clinic_sends_nothing_and_gives_out_no_link(world: World) -> None:
    await world.opened()
    world.known(world.patient_id, may_send=False, reason="clinic-inactive")
    with structlog.testing.capture_logs() as lines:
        await world.outreach.send_due()
    assert world.outbox() == []
    assert await world.read("SELECT 1 FROM patient_link") == []
    assert await world.tasks() == []
    assert [message.status for message in await world.messages()] == ["queued"]
    assert [line["reason"] for line in lines if line["event"] == "outreach.held"] == ["clinic-inactive"]


async def test_when_it_is_active_again_what_is_still_asked_leaves(world: World) -> None:
    await world.opened()
    world.known(world.patient_id, may_send=False, reason="clinic-inactive")
    await world.outreach.send_due()
    world.known(world.patient_id)
    await world.until(world.clock.now() + timedelta(minutes=15))
    await world.outreach.send_due()
    assert len(world.outbox()) == 1


async def test_when_it_is_active_again_nothing_stale_leaves_and_somebody_calls(world: World) -> None:
    new = await world.opened()
    world.known(world.patient_id, may_send=False, reason="clinic-inactive")
    await world.outreach.send_due()
    await world.until(new.expires_at)
    world.known(world.patient_id)
    await world.outreach.send_due()
    assert world.outbox() == []
    assert [(message.status, message.reason) for message in await world.messages()] == [("cancelled", "expired")]
    assert [task.kind for task in await world.tasks()] == ["check-in-overdue-call"]


async def test_a_patient_change_that_intake_tells_lets_a_waiting_message_be_judged_anew(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.pass_time(timedelta(hours=23))
    (waiting,) = await clinic.rows("SELECT message_id FROM message WHERE patient_id = :id", id=visit.patient_id)
    for table in ("message", "platform.message_queue"):
        async with clinic.database.transaction(clinic.clinic_id) as db:
            later = text(f"UPDATE {table} SET leaves_at = :at WHERE message_id = :id")  # noqa: S608 - names of our own
            await db.execute(later, {"at": clinic.clock.now() + timedelta(hours=9), "id": waiting["message_id"]})
    await clinic.patient(visit, time_zone="America/Los_Angeles")
    opens_at = at((await clinic.items(visit))["C24"], "opens_at")
    assert clinic.clock.now() < opens_at < clinic.clock.now() + timedelta(hours=9)  # the morning there
    for table in ("message", "platform.message_queue"):
        (row,) = await clinic.rows(f"SELECT leaves_at FROM {table} WHERE message_id = :id", id=waiting["message_id"])  # noqa: S608
        assert row["leaves_at"] == opens_at, table
