from datetime import datetime, timedelta
from typing import NamedTuple

from services.followup.checkins import commands
from services.followup.checkins.models import CheckInStatus
from tests.followup.checkins.world import World

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


async def test_requesting_again_changes_nothing(world: World) -> None:
    new = await world.requested()
    async with world.database.transaction(world.clinic_id) as db:
        again = world.new(infusion_id=new.infusion_id, opens_at=new.opens_at + HOUR)
        await commands.request(db, [again, world.new("C72", infusion_id=new.infusion_id)])
    rows = await world.read("SELECT check_in_id, code FROM check_in ORDER BY code")
    assert [row.code for row in rows] == ["C24", "C72"]
    assert rows[0].check_in_id == new.check_in_id
    armed = await world.read("SELECT count(*) AS n FROM platform.timer WHERE state = 'armed'")
    assert armed[0].n == 2


async def test_a_week_of_a_course_is_requested_once(world: World) -> None:
    first = await world.requested("WK", ordinal=1)
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
    cancelled = await world.cancel("deceased")
    assert {(item.kind, item.code) for item in cancelled} == {
        ("check-in", "C24"), ("check-in", "C72"), ("check-in", "WK"), ("message", "C72"),
    }  # fmt: skip
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
    cancelled = await world.cancel("entered-in-error", infusion_ids=[wrong.infusion_id])
    assert [item.id for item in cancelled] == [wrong.check_in_id]
    assert await world.status(right.check_in_id) == "planned"


async def test_an_expired_check_in_stays_expired_when_the_patient_dies_and_its_link_dies(world: World) -> None:
    new, _ = await world.sent()
    await world.until(new.expires_at)
    assert await world.cancel("deceased") == []
    assert await world.status(new.check_in_id) == "expired"
    assert [row.status for row in await world.read("SELECT status FROM patient_link")] == ["dead"]


async def test_cancelling_twice_lists_nothing_the_second_time(world: World) -> None:
    await world.requested()
    assert len(await world.cancel("withdrawn")) == 1
    assert await world.cancel("withdrawn") == []


class Moved(NamedTuple):
    code: str
    ordinal: int
    opens_at: datetime
    due_at: datetime
    expires_at: datetime


async def moved(world: World, new: commands.NewCheckIn, by: timedelta) -> list[str]:
    slot = Moved(new.code, new.ordinal, new.opens_at + by, new.due_at + by, new.expires_at + by)
    assert new.infusion_id is not None
    async with world.database.transaction(world.clinic_id) as db:
        return [str(check_in.check_in_id) for check_in in await commands.move(db, new.infusion_id, [slot], world.clock.now())]


async def test_a_moved_planned_check_in_opens_at_the_new_time(world: World) -> None:
    new = await world.requested()
    assert await moved(world, new, HOUR) == []
    await world.until(new.opens_at)
    assert await world.status(new.check_in_id) == "planned"
    await world.until(new.opens_at + HOUR)
    assert await world.status(new.check_in_id) == "open"


async def test_a_due_time_that_would_be_past_is_kept_marked_and_returned_once(world: World) -> None:
    new = await world.opened()
    await world.until(new.opens_at + HOUR)
    assert await moved(world, new, timedelta(hours=-8)) == [str(new.check_in_id)]
    row = await world.check_in(new.check_in_id)
    assert (row.due_at, row.expires_at, row.due_kept) == (new.due_at, new.expires_at, True)
    assert await moved(world, new, timedelta(hours=-9)) == []


async def test_an_overdue_check_in_whose_due_time_now_lies_ahead_is_open_again_without_a_second_message(world: World) -> None:
    new, _ = await world.sent()
    await world.until(new.due_at)
    assert await world.status(new.check_in_id) == "overdue"
    await moved(world, new, HOUR * 3)
    assert await world.status(new.check_in_id) == "open"
    await world.until(new.due_at + HOUR * 2)
    assert await world.tasks() == []
    await world.until(new.due_at + HOUR * 5)
    assert [task.kind for task in await world.tasks()] == ["check-in-overdue-call"]
    await world.outreach.send_due()
    assert len(world.outbox()) == 1


async def test_a_queued_message_leaves_once_at_the_moved_time(world: World) -> None:
    new = await world.opened()
    await moved(world, new, HOUR)
    await world.outreach.send_due()
    assert world.outbox() == []
    await world.until(new.opens_at + HOUR)
    await world.outreach.send_due()
    await world.outreach.send_due()
    assert len(world.outbox()) == 1


async def test_an_answered_check_in_is_not_moved(world: World) -> None:
    new = await world.opened()
    await world.write("UPDATE check_in SET status = 'submitted', submitted_at = now() WHERE check_in_id = :id", id=new.check_in_id)
    assert await moved(world, new, HOUR) == []
    assert (await world.check_in(new.check_in_id)).due_at == new.due_at


async def test_other_clinics_see_nothing_of_a_check_in(world: World) -> None:
    await world.requested()
    world.clinic_id = world.patient_id
    assert await world.read("SELECT 1 FROM check_in") == []
