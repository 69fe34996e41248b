"""What the release before wrote is known by what it wrote: without the columns that came with the comparison nothing is to be changed."""

import pytest
from sqlalchemy import make_url

from shared.events import sessions as infusions
from tests.followup.clinic import Clinic, Visit
from tests.followup.plans.comparing import differences
from tests.followup.plans.test_comparing import STORIES, Story
from tests.support.databases import Databases

AMENDED = infusions.InfusionAmended


STATEMENTS = [
    "DELETE FROM task_cover WHERE task_id IN (SELECT task_id FROM care_task WHERE patient_id = $1)",
    "DELETE FROM anchor_pin WHERE patient_id = $1",
    """
    UPDATE check_in SET anchor_id = NULL, number = NULL, refused_due_at = NULL, superseded_by = NULL, caused_by = NULL
    WHERE patient_id = $1
    """,
    """
    UPDATE care_task SET ordinal = CASE kind WHEN 'safety-offer-call' THEN number ELSE ordinal END, anchor_id = NULL, code = NULL,
        number = NULL, generation = NULL, refused_due_at = NULL, superseded_by = NULL
    WHERE patient_id = $1
    """,
]


async def as_before(clinic: Clinic, databases: Databases, visit: Visit) -> None:
    """Take away what only this release writes, of one patient."""
    superuser = await databases.server.admin(str(make_url(clinic.database.url).database))
    for statement in STATEMENTS:
        await superuser.execute(statement, visit.patient_id)
    await superuser.close()


@pytest.mark.parametrize("story", STORIES)
async def test_nothing_is_to_be_changed_of_what_the_release_before_wrote(clinic: Clinic, databases: Databases, story: Story) -> None:
    visit = clinic.visit()
    await clinic.patient(visit)
    await story(clinic, visit)
    await as_before(clinic, databases, visit)
    found = await differences(clinic, visit)
    # Which due time was refused, the release before did not keep; it is taken over, and looked at no second time.
    assert [one for one in found if not one.startswith("keep-due")] == []


async def test_a_check_in_that_a_person_was_to_ask_is_asked_by_its_link_again_as_the_same(clinic: Clinic, databases: Databases) -> None:
    visit = clinic.visit()
    await clinic.patient(visit)
    ended_at = clinic.clock.now()
    await clinic.tell(visit.told(pump_ended_at=ended_at), visit.told(AMENDED, 5, pump_ended_at=ended_at, outcome="transferred"))
    await as_before(clinic, databases, visit)
    await clinic.tell(visit.told(AMENDED, 6, pump_ended_at=ended_at, outcome="completed"))
    asked = await clinic.rows("SELECT status FROM check_in WHERE infusion_id = :id AND code = 'C24'", id=visit.infusion_id)
    assert [row["status"] for row in asked] == ["planned"]
