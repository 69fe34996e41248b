"""The difference is written: afterwards nothing is left to write, whatever the events before had left, and from nothing at all."""

from uuid import UUID

import pytest

from services.followup.plans.changes import CoverChange
from services.followup.plans.difference import Difference
from services.followup.plans.entry_files import shipped_lists
from services.followup.plans.keeping_up import keep_up
from services.followup.plans.pinned import Pinned
from services.followup.subjects import commands as subjects
from shared.events import Event
from shared.events.sessions import InfusionEvent
from tests.benchmarks.recording import noted
from tests.followup.clinic import Clinic, Visit
from tests.followup.plans import test_comparing as stories
from tests.followup.plans.test_comparing import Story

PROTOCOLS = Pinned(shipped_lists({"C24", "C72", "WK"}))


async def kept_up(clinic: Clinic, *patient_ids: UUID) -> list[str]:
    """What was written, by what was done to which item."""
    async with clinic.database.transaction(clinic.clinic_id) as db:
        return sorted(step for one in await keep_up(db, PROTOCOLS, patient_ids, clinic.clock.now()) for step in steps(one))


def steps(difference: Difference) -> list[str]:
    return [
        f"{change.step} {change.after.kind if isinstance(change, CoverChange) else change.after.key.code}" for change in difference.changes
    ]


async def note(clinic: Clinic, *told: Event) -> None:
    """Only the facts."""
    events = [event for event in told if isinstance(event, InfusionEvent)]
    async with clinic.database.transaction(clinic.clinic_id) as db:
        await subjects.lock_patients(db, [event.patient_id for event in events])
        await subjects.note_infusions(db, events)


@pytest.mark.parametrize("story", stories.STORIES)
async def test_after_the_difference_is_written_nothing_is_left_to_write(clinic: Clinic, story: Story) -> None:
    visit = clinic.visit()
    await clinic.patient(visit)
    await story(clinic, visit)
    await kept_up(clinic, visit.patient_id)
    assert await kept_up(clinic, visit.patient_id) == []


async def test_a_finished_infusion_of_which_only_the_facts_are_known_gets_its_whole_set(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.patient(visit)
    await note(clinic, visit.told())
    assert await kept_up(clinic, visit.patient_id) == ["make C24", "make C72", "make integration-session"]
    assert await kept_up(clinic, visit.patient_id) == []


async def test_many_patients_are_kept_up_in_as_many_statements_as_one(clinic: Clinic) -> None:
    counted = []
    for many in (1, 50):
        visits: list[Visit] = [clinic.visit() for _ in range(many)]
        for visit in visits:
            await clinic.patient(visit)
            await note(clinic, visit.told())
        with noted(clinic.database.engine) as transactions:
            assert len(await kept_up(clinic, *(visit.patient_id for visit in visits))) == 3 * many
        counted.append([len(transaction.statements) for transaction in transactions])
    assert counted[0] == counted[1]
