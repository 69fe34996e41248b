"""One patient with a time zone that is none holds up nobody else."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from tests.followup.clinic import Clinic


@pytest.mark.parametrize("name", ["America", "a" * 300, "Mars/Olympus"], ids=["a folder", "too long", "unknown"])
async def test_a_zone_that_is_none_holds_up_no_timer_but_its_own(
    clinic: Clinic, open_clinic: Callable[[], Awaitable[Clinic]], name: str
) -> None:
    other = await open_clinic()
    bad, good = clinic.visit(), other.visit()
    await clinic.tell(bad.told())
    await clinic.rows("UPDATE patient SET time_zone = :name WHERE patient_id = :id RETURNING 1", name=name, id=bad.patient_id)
    await other.tell(good.told())
    clinic.clock.advance(timedelta(days=8))
    for _ in range(3):
        await clinic.service.firing.fire_due()
    weeks = "SELECT code FROM check_in WHERE course_id = :id AND code = 'WK'"
    assert len(await other.rows(weeks, id=good.course_id)) == 1
    assert (await other.states(good))["C24"] != "planned"
    assert (await clinic.states(bad))["C24"] != "planned"
    [late] = await clinic.rows("SELECT attempts FROM platform.timer WHERE kind = 'plan-wake' AND subject_id = :id", id=bad.patient_id)
    assert late["attempts"] > 0
