"""Each open task is at any time in one tab of somebody who is there and may do it, else in Unassigned with a mark and its remedy."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.tasks import owners
from services.followup.tasks.policy import shipped_policy
from shared.clock import FrozenClock
from shared.events import Delivery
from shared.events.intake import PractitionerChanged, Role
from shared.security.projection import on_practitioner_changed
from shared.service import Service
from tests.conftest import NEW_YORK_MORNING
from tests.followup.clinic import Clinic
from tests.followup.conftest import asked, built
from tests.followup.tasks.histories import History, PracticeHandler
from tests.support.databases import Databases

STEPS = 30


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_each_open_task_is_in_one_tab_of_somebody_who_may_do_it_or_marked(clinic: Clinic, seed: int) -> None:
    assert await History(clinic, seed).found(STEPS) == []


# Bugs that were planted, each one caught by some of the same histories.


@pytest_asyncio.fixture(loop_scope="session")
async def mutable(databases: Databases, tmp_path: Path) -> AsyncIterator[Service]:
    """A service on a database of its own, in which bugs are planted."""
    async with built(databases, tmp_path) as service:
        yield service


async def first_found(service: Service, handler: PracticeHandler | None = None) -> str:
    """What the first history that goes wrong says."""
    clock = service.clock
    assert isinstance(clock, FrozenClock)
    async with asked(service) as http:
        for seed in range(16):
            clock.set(NEW_YORK_MORNING)
            clinic = Clinic(service, http, clock)
            await clinic.open()
            if wrong := await History(clinic, seed, handler).found(STEPS):
                return " / ".join(wrong)
    return ""


async def nobody_is_released(db: AsyncSession, deliveries: Sequence[Delivery[PractitionerChanged]]) -> None:
    await on_practitioner_changed(db, deliveries)


async def the_role_is_not_looked_at(db: AsyncSession, deliveries: Sequence[Delivery[PractitionerChanged]]) -> None:
    policy = shipped_policy()
    anybody = {name: kind.model_copy(update={"roles": frozenset(Role)}) for name, kind in policy.kinds.items()}
    await owners.note_practitioners(db, policy.model_copy(update={"kinds": anybody}), deliveries, deliveries[0].event.occurred_at)


@pytest.mark.parametrize("handler", [nobody_is_released, the_role_is_not_looked_at])
async def test_a_handler_that_leaves_work_with_who_may_not_have_it_is_caught(mutable: Service, handler: PracticeHandler) -> None:
    assert "is with somebody who may not have it" in await first_found(mutable, handler)


MARK_MISSING = "IF NEW.owner_id IS NULL THEN NEW.released_because := NULL; END IF;"
HELD_FOR_WHO_LEFT = "IF OLD.status = 'on-hold' AND NEW.status = 'on-hold' THEN NEW.owner_id := OLD.owner_id; END IF;"
BACK_TO_WHO_LEFT = """
    IF OLD.status = 'on-hold' AND NEW.status = 'requested' AND OLD.released_because IS NOT NULL THEN
        NEW.status := 'accepted';
        NEW.owner_id := (SELECT (details ->> 'owner_before')::uuid FROM task_history h WHERE h.clinic_id = NEW.clinic_id
                         AND h.task_id = NEW.task_id AND action = 'released' ORDER BY version DESC LIMIT 1);
    END IF;
"""


@pytest.mark.parametrize(
    ("planted", "says"),
    [
        (MARK_MISSING, "says not-taken for any cause"),
        (HELD_FOR_WHO_LEFT, "may not have it, ['on-hold']"),
        (BACK_TO_WHO_LEFT, "may not have it, ['mine']"),
    ],
    ids=["the mark is missing", "a hold keeps who left", "the end of a hold gives it back to who left"],
)
async def test_a_task_that_is_stored_otherwise_is_caught(mutable: Service, databases: Databases, planted: str, says: str) -> None:
    superuser = await databases.server.admin(mutable.database.engine.url.database or "")
    try:
        await superuser.execute(
            f"CREATE FUNCTION plant() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {planted} RETURN NEW; END $$;"
            "CREATE TRIGGER planted BEFORE UPDATE ON care_task FOR EACH ROW EXECUTE FUNCTION plant()"
        )
    finally:
        await superuser.close()
    assert says in await first_found(mutable)
