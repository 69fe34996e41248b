"""A form that ends while a patient fills it in: the questions are closed, not the ear."""

from datetime import timedelta

import httpx
import pytest

from tests.followup.checkins.world import World
from tests.followup.pages.browsing import WRONG, calm, send, signed_in, words

ENDINGS = ("infusion-entered-in-error", "treatment-consent-revoked", "patient-withdrawn")


async def kept(world: World) -> list[object]:
    """Answers that are stored, in whatever place."""
    whole = await world.read("SELECT answers FROM check_in_answers")
    return [row.answers for row in (*whole, *await world.read("SELECT answers FROM check_in_partial")) if row.answers]


@pytest.mark.parametrize("reason", ENDINGS)
async def test_a_call_for_help_is_heard_though_the_form_has_ended(world: World, client: httpx.AsyncClient, reason: str) -> None:
    await signed_in(world, client)
    await world.cancel(reason)
    page = await send(client, "/c/help", {"distress": "9"})
    assert page.status_code == 200
    assert "top of the clinic's list" in page.text
    (task,) = await world.tasks()
    assert (task.kind, task.priority, task.due_at) == ("safety-review", "stat", world.clock.now() + timedelta(minutes=15))
    assert (task.reason, task.facts["ended"]) == ("call-for-help", "cancelled")
    assert {row.item for row in await world.read("SELECT item FROM check_in_worry")} == {"help_now", "distress"}
    assert await kept(world) == []


@pytest.mark.parametrize("reason", ENDINGS)
async def test_what_worries_in_answers_to_a_form_that_has_ended_is_heard_and_not_kept(
    world: World, client: httpx.AsyncClient, reason: str
) -> None:
    await signed_in(world, client)
    await world.cancel(reason)
    page = await send(client, "/c", calm(world, distress=10, call_today="yes"))
    assert page.status_code == 410
    assert "were not saved" in page.text
    assert [task.kind for task in await world.tasks()] == ["safety-review"]
    assert {row.item for row in await world.read("SELECT item FROM check_in_worry")} == {"distress", "call_today"}
    assert await kept(world) == []
    calm_page = await send(client, "/c", calm(world))
    assert words(calm_page) == words(page), "the page does not depend on what was answered"
    assert len(await world.tasks()) == 1


async def test_pressing_twice_makes_one_task_and_again_after_a_while_another(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    await world.cancel("patient-withdrawn")
    for _ in range(2):
        await send(client, "/c/help", {})
    assert len(await world.tasks()) == 1
    world.clock.advance(world.setup.policy.help_again_after)
    await send(client, "/c/help", {})
    assert len(await world.tasks()) == 2


async def test_a_call_for_help_is_heard_though_somebody_else_has_killed_the_link(world: World, client: httpx.AsyncClient) -> None:
    path = await signed_in(world, client)
    for _ in range(5):
        await send(client, path, WRONG)
    assert (await send(client, "/c/help", {})).status_code == 200
    assert "safety-review" in [task.kind for task in await world.tasks()]


async def recorded_as_dead(world: World) -> None:
    await world.write("UPDATE patient SET status = 'deceased' WHERE patient_id = :id", id=world.patient_id)
    await world.cancel("patient-deceased")


async def trail(world: World) -> list[tuple[str, int]]:
    return [(row.operation, row.outcome) for row in await world.read("SELECT operation, outcome FROM audit_event")]


async def test_a_call_for_help_of_who_is_recorded_as_dead_is_stat_work_that_says_so(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    await recorded_as_dead(world)
    page = await send(client, "/c/help", {})
    assert 'href="tel:988"' in page.text
    assert "top of the clinic's list" in page.text
    [task] = await world.tasks()
    assert (task.kind, task.priority, task.reason) == ("safety-review", "stat", "call-for-help-recorded-dead")
    assert ("take_call_for_help", 200) in await trail(world)


async def test_worrying_answers_of_who_is_recorded_as_dead_are_heard_and_not_saved(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    await recorded_as_dead(world)
    page = await send(client, "/c", calm(world, body_chest_pain=3))
    assert page.status_code == 410
    [task] = await world.tasks()
    assert (task.kind, task.priority, task.reason) == ("safety-review", "asap", "worrying-answers-recorded-dead")
    assert await world.read("SELECT 1 FROM check_in_answers") == []
    assert ("take_answers", 410) in await trail(world)


async def test_a_press_after_the_death_was_recorded_is_told_beside_an_open_one_from_before(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    await send(client, "/c/help", {})
    await recorded_as_dead(world)
    await send(client, "/c/help", {})
    await send(client, "/c/help", {})
    assert [task.reason for task in await world.tasks()] == ["call-for-help", "call-for-help-recorded-dead"]


async def test_a_press_after_the_death_was_corrected_is_told_beside_one_that_says_dead(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    await recorded_as_dead(world)
    await send(client, "/c/help", {})
    await world.write("UPDATE patient SET status = 'active' WHERE patient_id = :id", id=world.patient_id)
    await send(client, "/c/help", {})
    await send(client, "/c/help", {})
    assert [task.reason for task in await world.tasks()] == ["call-for-help-recorded-dead", "call-for-help"]
