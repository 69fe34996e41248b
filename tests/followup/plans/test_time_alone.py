"""Time alone makes, misses and has somebody call. Whatever else would change without a changed fact is held back and counted."""

from datetime import timedelta

from tests.followup.clinic import Clinic, Visit, at

HOUR = timedelta(hours=1)


async def with_another_due_time(clinic: Clinic) -> Visit:
    """A patient one of whose due times no fact explains, as a release with a faulty plan would find it."""
    visit = clinic.visit()
    await clinic.patient(visit)
    await clinic.tell(visit.told())
    await shift_due_time(clinic, visit)
    return visit


async def shift_due_time(clinic: Clinic, visit: Visit) -> None:
    shifted = "UPDATE check_in SET due_at = due_at + interval '1 hour' WHERE infusion_id = :id AND code = 'C72' RETURNING 1"
    assert await clinic.rows(shifted, id=visit.infusion_id)


async def woken(clinic: Clinic, visit: Visit) -> None:
    """The clock of the patient's plan, before its time."""
    early = "UPDATE platform.timer SET due_at = :now WHERE kind = 'plan-wake' AND subject_id = :id RETURNING 1"
    assert await clinic.rows(early, now=clinic.clock.now(), id=visit.patient_id)
    assert await clinic.service.firing.fire_due() == 1


def held_back(clinic: Clinic) -> float:
    return clinic.service.metrics.registry.get_sample_value("afterglow_plan_drift_total") or 0


async def test_what_no_fact_explains_is_held_back_and_counted(clinic: Clinic) -> None:
    visit = await with_another_due_time(clinic)
    before, counted = (await clinic.items(visit))["C72"], held_back(clinic)
    await woken(clinic, visit)
    assert (await clinic.items(visit))["C72"] == before
    assert held_back(clinic) == counted + 1


async def test_the_next_fact_brings_it(clinic: Clinic) -> None:
    visit = await with_another_due_time(clinic)
    due_at = at((await clinic.items(visit))["C72"], "due_at")
    await clinic.patient(visit, version=2)
    assert at((await clinic.items(visit))["C72"], "due_at") == due_at - HOUR


async def test_time_still_makes_the_week_of_a_patient_with_something_held_back(clinic: Clinic) -> None:
    visit = await with_another_due_time(clinic)
    again = Visit(visit.clock, patient_id=visit.patient_id, course_id=visit.course_id)
    await clinic.pass_time(timedelta(days=6))
    await clinic.tell(again.told(pump_ended_at=clinic.clock.now()))
    await shift_due_time(clinic, again)
    counted = held_back(clinic)
    await clinic.pass_time(timedelta(days=1, hours=1))
    weeks = await clinic.rows("SELECT status FROM check_in WHERE course_id = :id AND code = 'WK'", id=visit.course_id)
    assert ([row["status"] for row in weeks], held_back(clinic)) == (["open"], counted + 1)
