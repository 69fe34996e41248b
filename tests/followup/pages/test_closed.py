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


async def test_after_a_death_a_call_is_answered_with_the_numbers_and_makes_no_task(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    await world.write("UPDATE patient SET status = 'deceased' WHERE patient_id = :id", id=world.patient_id)
    await world.cancel("patient-deceased")
    page = await send(client, "/c/help", {})
    assert 'href="tel:988"' in page.text
    assert "top of the clinic's list" not in page.text
    assert (await send(client, "/c", calm(world, distress=10))).status_code == 410
    assert await world.tasks() == []
