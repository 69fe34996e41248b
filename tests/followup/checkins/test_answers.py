import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.followup.checkins import answers as answering
from services.followup.checkins.forms import Answer
from services.followup.checkins.queries import get_locked
from shared.errors import Conflict
from shared.failpoints import InjectedFault
from tests.followup.checkins.world import World

HOUR = timedelta(hours=1)


def calm(world: World, **changed: Answer) -> dict[str, Answer]:
    quiet: dict[str, Answer] = {"yes-no": "no", "bother": 0, "scale": 0}
    form = world.setup.forms.of_check_in["C24"]
    return {item.item_id: quiet[item.kind] for item in form.items.values()} | changed


async def submit(world: World, check_in_id: UUID, **changed: Answer) -> bool:
    async with world.database.transaction(world.clinic_id) as db:
        return await answering.submit(db, check_in_id, calm(world, **changed), world.clock.now(), world.setup)


async def ask_for_help(world: World, check_in_id: UUID, **given: Answer) -> None:
    async with world.database.transaction(world.clinic_id) as db:
        await answering.ask_for_help(db, check_in_id, given, world.clock.now(), world.setup)


async def test_answers_are_stored_item_by_item_with_their_form(world: World) -> None:
    new = await world.opened()
    assert await submit(world, new.check_in_id, distress=4)
    (stored,) = await world.read("SELECT * FROM check_in_answers")
    assert (stored.form_code, stored.form_version, stored.language) == ("safety-set", 1, "en")
    assert stored.answers["distress"] == 4
    assert stored.answers["urine_blood"] == "no"
    row = await world.check_in(new.check_in_id)
    assert (row.status, row.late, row.level, row.submitted_at) == ("submitted", False, None, world.clock.now())
    assert await world.tasks() == []


async def test_submitting_is_told_without_an_answer_in_it(world: World) -> None:
    new = await world.opened()
    await submit(world, new.check_in_id, distress=9, urine_blood="yes")
    ((kind, event),) = await world.events()
    assert kind == "followup.check-in.submitted.v1"
    assert set(event) == {"occurred_at", "check_in_id", "patient_id", "infusion_id", "code", "late"}
    assert event["late"] is False


async def test_the_second_answers_are_not_stored(world: World) -> None:
    new = await world.opened()
    assert await submit(world, new.check_in_id, distress=1)
    assert not await submit(world, new.check_in_id, distress=9)
    (stored,) = await world.read("SELECT * FROM check_in_answers")
    assert stored.answers["distress"] == 1
    assert await world.tasks() == []


async def test_two_submits_at_once_are_stored_once(world: World) -> None:
    new = await world.opened()
    outcomes = await asyncio.gather(*(submit(world, new.check_in_id, urine_blood="yes") for _ in range(4)))
    assert sorted(outcomes) == [False, False, False, True]
    assert len(await world.read("SELECT 1 FROM check_in_answers")) == 1
    assert len(await world.tasks("safety-review")) == 1
    assert len(await world.events()) == 1


async def test_worrying_answers_become_one_task_of_the_highest_level_without_the_answers(world: World) -> None:
    new = await world.opened()
    await submit(world, new.check_in_id, distress=9, urine_pain="yes", urine_blood="yes")
    (task,) = await world.tasks()
    assert (task.kind, task.focus_kind, task.focus_id) == ("safety-review", "CheckIn", new.check_in_id)
    assert task.priority == "asap"
    assert task.due_at == world.clock.now() + 4 * HOUR
    assert task.reason == "worrying-answers"
    assert task.facts["rules"] == ["blood-in-urine", "painful-urination", "high-distress"]
    assert task.details == {}
    assert (await world.check_in(new.check_in_id)).level == "urgent"
    worries = await world.read("SELECT rule_id, rule_version, item, level FROM check_in_worry ORDER BY rule_id")
    assert [tuple(worry) for worry in worries] == [
        ("blood-in-urine", 1, "urine_blood", "urgent"),
        ("high-distress", 1, "distress", "routine"),
        ("painful-urination", 1, "urine_pain", "same-day"),
    ]


async def test_the_same_day_is_counted_where_the_clinic_is(world: World) -> None:
    new = await world.opened(patient_time_zone="Pacific/Honolulu")
    await submit(world, new.check_in_id, call_today="yes")
    (task,) = await world.tasks()
    assert task.due_at == datetime(2026, 11, 24, 1, 0, tzinfo=UTC), "20:00 in New York"


async def test_an_answer_ends_the_call_about_silence_and_never_the_review(world: World) -> None:
    new = await world.opened()
    await world.until(new.due_at + 2 * HOUR)
    await ask_for_help(world, new.check_in_id)
    await submit(world, new.check_in_id)
    assert {task.kind: (task.status, task.status_reason) for task in await world.tasks()} == {
        "check-in-overdue-call": ("cancelled", "answered"),
        "safety-review": ("requested", None),
    }
    await world.until(new.expires_at)
    assert await world.status(new.check_in_id) == "submitted"


async def test_a_late_answer_is_taken_marked_and_read_for_worries(world: World) -> None:
    new = await world.opened()
    await world.until(new.expires_at + 72 * HOUR)
    assert await submit(world, new.check_in_id, unusual="yes")
    assert (await world.check_in(new.check_in_id)).late
    assert [task.priority for task in await world.tasks("safety-review")] == ["asap"]
    assert [event["late"] for kind, event in await world.events() if kind.endswith("submitted.v1")] == [True]


async def test_an_overdue_answer_is_not_late(world: World) -> None:
    new = await world.opened()
    await world.until(new.expires_at - timedelta(seconds=1))
    await submit(world, new.check_in_id)
    assert not (await world.check_in(new.check_in_id)).late


async def test_after_the_period_for_late_answers_none_is_taken(world: World) -> None:
    new = await world.opened()
    await world.until(new.expires_at + 72 * HOUR + timedelta(seconds=1))
    with pytest.raises(Conflict, match="check-in-closed"):
        await submit(world, new.check_in_id)


async def test_nothing_is_taken_before_it_opens_or_after_it_was_cancelled(world: World) -> None:
    new = await world.requested()
    with pytest.raises(Conflict, match="check-in-closed"):
        await submit(world, new.check_in_id)
    await world.cancel("withdrawn")
    with pytest.raises(Conflict, match="check-in-closed"):
        await submit(world, new.check_in_id)


async def test_a_call_for_help_is_a_task_at_once_and_leaves_the_form_open(world: World) -> None:
    new = await world.opened()
    await ask_for_help(world, new.check_in_id, distress=10)
    (task,) = await world.tasks()
    assert (task.kind, task.priority, task.due_at) == ("safety-review", "stat", world.clock.now() + timedelta(minutes=15))
    assert await world.status(new.check_in_id) == "open"
    assert (await world.check_in(new.check_in_id)).level == "stat"
    assert await submit(world, new.check_in_id, distress=10)
    assert len(await world.tasks("safety-review")) == 1, "distress had been raised with the call"


async def test_pressing_again_soon_adds_no_task_and_later_it_does(world: World) -> None:
    new = await world.opened()
    await ask_for_help(world, new.check_in_id)
    await ask_for_help(world, new.check_in_id)
    world.clock.advance(timedelta(minutes=14))
    await ask_for_help(world, new.check_in_id)
    assert len(await world.tasks()) == 1
    world.clock.advance(timedelta(minutes=1))
    await ask_for_help(world, new.check_in_id)
    assert [task.priority for task in await world.tasks()] == ["stat", "stat"]


async def close_reviews(world: World) -> None:
    """As if a clinician had seen to all of them."""
    await world.read(
        "UPDATE care_task SET status = 'completed', outcome = 'reached', performed_at = now(), closed_at = now(), "
        "owner_id = gen_random_uuid() WHERE kind = 'safety-review' RETURNING 1"
    )


async def test_a_press_after_the_first_call_was_seen_to_is_a_new_one_however_soon(world: World) -> None:
    new = await world.opened()
    await ask_for_help(world, new.check_in_id)
    await close_reviews(world)
    await ask_for_help(world, new.check_in_id)
    assert [task.status for task in await world.tasks("safety-review")] == ["completed", "requested"]


async def test_a_worry_that_was_heard_and_seen_to_is_told_again_with_the_answers_themselves(world: World) -> None:
    new = await world.opened()
    async with world.database.transaction(world.clinic_id) as db:
        await answering.hear(db, new.check_in_id, {"body_chest_pain": 3}, world.clock.now(), world.setup)
    await close_reviews(world)
    await submit(world, new.check_in_id, body_chest_pain=3)
    assert [(task.status, task.priority) for task in await world.tasks("safety-review")] == [("completed", "asap"), ("requested", "asap")]


async def test_a_second_press_that_brings_a_new_worry_raises_it_at_once(world: World) -> None:
    new = await world.opened()
    await ask_for_help(world, new.check_in_id)
    await ask_for_help(world, new.check_in_id, urine_blood="yes")
    assert [task.priority for task in await world.tasks()] == ["stat", "asap"]
    kept = await world.read("SELECT answers FROM check_in_partial ORDER BY answers::text")
    assert [row.answers for row in kept] == [{"urine_blood": "yes"}, {}]


async def test_worries_that_come_with_the_rest_of_the_form_get_a_task_of_their_own(world: World) -> None:
    new = await world.opened()
    await ask_for_help(world, new.check_in_id)
    await submit(world, new.check_in_id, drove="yes")
    assert [task.priority for task in await world.tasks()] == ["stat", "urgent"]
    assert (await world.check_in(new.check_in_id)).level == "stat", "a level never goes down"


async def test_a_form_that_was_sent_back_keeps_what_worries_in_it(world: World) -> None:
    new = await world.opened()
    for _ in range(3):
        async with world.database.transaction(world.clinic_id) as db:
            await answering.keep_refused(db, new.check_in_id, {"urine_blood": "yes", "distress": 2}, world.clock.now(), world.setup)
    (partial,) = await world.read("SELECT * FROM check_in_partial")
    assert (partial.help_now, partial.answers) == (False, {"urine_blood": "yes", "distress": 2})
    assert [task.priority for task in await world.tasks()] == ["asap"]
    await submit(world, new.check_in_id, urine_blood="no")
    assert [task.status for task in await world.tasks()] == ["requested"], "the first answer stands"


async def test_a_form_that_was_sent_back_and_does_not_worry_is_not_kept(world: World) -> None:
    new = await world.opened()
    async with world.database.transaction(world.clinic_id) as db:
        await answering.keep_refused(db, new.check_in_id, {"distress": 2}, world.clock.now(), world.setup)
    assert await world.read("SELECT 1 FROM check_in_partial") == []
    assert await world.tasks() == []


async def test_a_submit_that_fails_leaves_nothing_behind(world: World) -> None:
    new = await world.opened()

    async def submit_and_fail() -> None:
        async with world.database.transaction(world.clinic_id) as db:
            await answering.submit(db, new.check_in_id, calm(world, urine_blood="yes"), world.clock.now(), world.setup)
            raise InjectedFault

    with pytest.raises(InjectedFault):
        await submit_and_fail()
    assert await world.status(new.check_in_id) == "open"
    assert await world.tasks() == []
    assert await world.events() == []


@pytest.mark.parametrize("step", ["expire", "go_overdue", "submit"])
async def test_a_step_that_the_state_does_not_allow_is_refused_with_the_state(world: World, step: str) -> None:
    new = await world.requested()
    async with world.database.transaction(world.clinic_id) as db:
        check_in = await get_locked(db, new.check_in_id)
        arguments = [] if step == "expire" else [world.clock.now()]
        with pytest.raises(Conflict) as refused:
            getattr(check_in, step)(*arguments)
    assert (refused.value.code, refused.value.extra) == ("state", {"state": "planned"})
