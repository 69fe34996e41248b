"""An answer that meets what somebody does about its check-in at the same moment."""

import asyncio
from uuid import uuid4

import httpx
from sqlalchemy import text

from services.followup.tasks import work
from services.followup.tasks.policy import shipped_policy
from services.followup.tasks.rules import Completion, Outcome
from services.followup.tasks.work import Worker
from tests.followup.checkins.world import World
from tests.followup.clinic import all_wait
from tests.followup.pages.browsing import calm, send, signed_in


async def test_an_answer_that_comes_while_the_next_call_is_settled_calls_that_one_off_too(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client)
    [check_in] = await world.read("SELECT check_in_id, due_at FROM check_in")
    await world.until(check_in.due_at + world.setup.policy.call_delay("C24"))
    worker = Worker(uuid4(), frozenset({"coordinator"}), "Practitioner/of-a-test")
    await world.write(
        "INSERT INTO platform.practitioner (clinic_id, practitioner_id, version, active, roles) "
        "VALUES (:clinic_id, :person, 1, true, ARRAY['coordinator'])",
        clinic_id=world.clinic_id,
        person=worker.practitioner_id,
    )
    await world.write("UPDATE care_task SET status = 'accepted', owner_id = :owner_id", owner_id=worker.practitioner_id)
    [call] = await world.tasks("check-in-overdue-call")
    now = world.clock.now()
    in_vain = Completion(Outcome.NO_ANSWER, None, None, now + world.setup.policy.call_delay("C24"))

    async def nobody_answered() -> None:
        async with world.database.transaction(world.clinic_id) as db:
            await work.complete(db, shipped_policy(), call.task_id, in_vain, worker, now)

    async with world.database.transaction(world.clinic_id) as db:
        await db.execute(text("SELECT 1 FROM care_task WHERE task_id = :id FOR UPDATE"), {"id": call.task_id})
        completing = asyncio.ensure_future(nobody_answered())
        await all_wait(world.database, 1)
        answering = asyncio.ensure_future(send(client, "/c", calm(world)))
        await all_wait(world.database, 2)
    await completing
    assert (await answering).status_code == 200
    assert await world.status(check_in.check_in_id) == "submitted"
    assert [task.status for task in await world.tasks("check-in-overdue-call")] == ["completed", "cancelled"]
