from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from services.followup.checkins import changes
from services.followup.checkins.models import CheckInStatus
from services.followup.tables import Overtaken
from tests.followup.checkins.world import World, ended_as

HOUR = timedelta(hours=1)


async def test_a_requested_check_in_opens_by_its_timer_and_its_message_is_queued_with_it(world: World) -> None:
    new = await world.requested()
    assert await world.status(new.check_in_id) == "planned"
    await world.until(new.opens_at - timedelta(seconds=1))
    assert await world.status(new.check_in_id) == "planned"
    await world.until(new.opens_at)
    assert await world.status(new.check_in_id) == "open"
    (message,) = await world.messages()
    assert (message.check_in_id, message.status, message.leaves_at) == (new.check_in_id, "queued", new.opens_at)
    assert world.outbox() == []


async def test_what_is_there_is_not_requested_a_second_time_nor_is_what_comes_with_it(world: World) -> None:
    new = await world.requested()
    again = world.new(infusion_id=new.infusion_id, opens_at=new.opens_at + HOUR)
    with pytest.raises(IntegrityError):
        async with world.database.transaction(world.clinic_id) as db:
            await changes.make(db, [world.new("C72", infusion_id=new.infusion_id), again])
    assert [row.check_in_id for row in await world.read("SELECT check_in_id FROM check_in")] == [new.check_in_id]


async def test_a_week_of_a_course_is_requested_once(world: World) -> None:
    first = await world.requested("WK", ordinal=1)
    with pytest.raises(IntegrityError):
        await world.requested("WK", course_id=first.course_id, ordinal=1)
    await world.requested("WK", course_id=first.course_id, ordinal=2)
    rows = await world.read("SELECT ordinal FROM check_in ORDER BY ordinal")
    assert [row.ordinal for row in rows] == [1, 2]


async def test_a_check_in_requested_as_cancelled_never_opens(world: World) -> None:
    new = await world.requested(status=CheckInStatus.CANCELLED)
    await world.until(new.expires_at)
    assert await world.status(new.check_in_id) == "cancelled"
    assert await world.messages() == []


async def test_cancelling_ends_check_ins_messages_and_links_of_the_patient(world: World) -> None:
    sent, _ = await world.sent()
    queued = await world.opened("C72")
    planned = await world.requested("WK")
    await world.cancel("deceased")
    for new in (sent, queued, planned):
        assert (await world.check_in(new.check_in_id)).ended_reason == "deceased"
    assert [row.status for row in await world.read("SELECT status FROM patient_link")] == ["dead"]
    assert [row.status for row in await world.messages()] == ["sent", "cancelled"]
    await world.until(planned.expires_at)
    await world.outreach.send_due()
    assert len(world.outbox()) == 1
    assert await world.tasks() == []
    assert await world.events() == []


async def test_cancelling_an_infusion_leaves_the_patients_other_check_ins(world: World) -> None:
    wrong, right = await world.requested(), await world.requested()
    await world.cancel("entered-in-error", infusion_id=wrong.infusion_id)
    assert (await world.status(wrong.check_in_id), await world.status(right.check_in_id)) == ("cancelled", "planned")


async def test_an_expired_check_in_stays_expired_when_the_patient_dies_and_its_link_dies(world: World) -> None:
    new, _ = await world.sent()
    await world.until(new.expires_at)
    await world.cancel("deceased")
    assert await world.status(new.check_in_id) == "expired"
    assert [row.status for row in await world.read("SELECT status FROM patient_link")] == ["dead"]


async def test_a_moved_planned_check_in_opens_at_the_new_time(world: World) -> None:
    new = await world.requested()
    await world.move(new.check_in_id, HOUR)
    await world.until(new.opens_at)
    assert await world.status(new.check_in_id) == "planned"
    await world.until(new.opens_at + HOUR)
    assert await world.status(new.check_in_id) == "open"


async def test_an_overdue_check_in_whose_due_time_now_lies_ahead_is_open_again_without_a_second_message(world: World) -> None:
    new, _ = await world.sent()
    await world.until(new.due_at)
    assert await world.status(new.check_in_id) == "overdue"
    await world.move(new.check_in_id, HOUR * 3)
    assert await world.status(new.check_in_id) == "open"
    await world.until(new.due_at + HOUR * 2)
    assert await world.tasks() == []
    await world.until(new.due_at + HOUR * 5)
    assert [task.kind for task in await world.tasks()] == ["check-in-overdue-call"]
    await world.outreach.send_due()
    assert len(world.outbox()) == 1


async def test_a_queued_message_leaves_once_at_the_moved_time(world: World) -> None:
    new = await world.opened()
    await world.move(new.check_in_id, HOUR)
    await world.outreach.send_due()
    assert world.outbox() == []
    await world.until(new.opens_at + HOUR)
    await world.outreach.send_due()
    await world.outreach.send_due()
    assert len(world.outbox()) == 1


async def test_a_check_in_that_is_another_by_now_is_not_changed(world: World) -> None:
    new = await world.opened()
    as_it_was = replace(ended_as(await world.check_in(new.check_in_id), "cancelled", "deceased"), seen=1)
    with pytest.raises(Overtaken):
        async with world.database.transaction(world.clinic_id) as db:
            await changes.change(db, [as_it_was], world.clock.now())
    assert await world.status(new.check_in_id) == "open"


async def test_other_clinics_see_nothing_of_a_check_in(world: World) -> None:
    await world.requested()
    world.clinic_id = world.patient_id
    assert await world.read("SELECT 1 FROM check_in") == []
