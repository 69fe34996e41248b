"""A task to book a new visit ends with the booking, by which event its history says, and is there again when that one falls out."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shared.events import sessions as infusions
from tests.followup.clinic import Clinic, Visit

DAY = timedelta(days=1)


async def booked(clinic: Clinic, visit: Visit, version: int = 1, *, ahead: timedelta = 2 * DAY) -> None:
    await clinic.tell(visit.told(infusions.InfusionScheduled, version, scheduled_at=clinic.clock.now() + ahead))


async def fell_out(clinic: Clinic, visit: Visit, version: int = 2) -> None:
    await clinic.tell(visit.told(infusions.InfusionCancelled, version, cancelled_by="patient"))


async def rebooking(clinic: Clinic) -> list[tuple[str, str | None]]:
    """How tasks to book a new visit stand, oldest first."""
    rows = await clinic.rows("SELECT status, status_reason FROM care_task WHERE kind = 'rebook' ORDER BY due_at, created_at, task_id")
    return [(row["status"], row["status_reason"]) for row in rows]


@pytest.mark.parametrize("kind", [infusions.InfusionCancelled, infusions.InfusionNoShow, infusions.InfusionNotDone])
async def test_a_booking_ends_the_task_that_asked_for_it_and_its_history_names_the_event(
    clinic: Clinic, kind: type[infusions.InfusionEvent]
) -> None:
    visit = clinic.visit()
    await booked(clinic, visit)
    await clinic.tell(visit.told(kind, 2, **({"cancelled_by": "patient"} if kind is infusions.InfusionCancelled else {})))
    assert await rebooking(clinic) == [("requested", None)]
    clinic.clock.advance(timedelta(hours=1))
    await booked(clinic, Visit(clinic.clock, patient_id=visit.patient_id, course_id=visit.course_id))
    assert await rebooking(clinic) == [("cancelled", "visit-booked")]
    [closing] = await clinic.rows("SELECT caused_by, details FROM task_history WHERE action = 'cancelled'")
    assert isinstance(closing["caused_by"], UUID)
    assert closing["details"] == {"reason": "visit-booked"}


async def test_when_the_new_visit_falls_out_as_well_it_is_asked_for_again(clinic: Clinic) -> None:
    visit = clinic.visit()
    following = Visit(clinic.clock, patient_id=visit.patient_id, course_id=visit.course_id)
    await booked(clinic, visit)
    await fell_out(clinic, visit)
    await booked(clinic, following)
    await fell_out(clinic, following)
    assert sorted(status for status, _ in await rebooking(clinic)) == ["cancelled", "requested"]


async def test_somebody_who_has_the_task_is_told_by_its_end(clinic: Clinic) -> None:
    visit = clinic.visit()
    task = await clinic.task("rebook", visit)
    await clinic.post(f"tasks/{task['task_id']}/claim")
    await booked(clinic, Visit(clinic.clock, patient_id=visit.patient_id, course_id=visit.course_id))
    answer = await clinic.post(f"tasks/{task['task_id']}/complete", {"outcome": "done"})
    assert (answer.status_code, answer.json()["code"]) == (409, "state")
    history = (await clinic.get(f"tasks/{task['task_id']}/history")).json()["items"]
    assert history[-1]["says"] == "Called off: a new visit was booked."


async def test_a_booking_that_moves_a_further_attempt_another_course_and_a_late_entry_take_nobodys_place(clinic: Clinic) -> None:
    visit, known = clinic.visit(), clinic.visit()
    known = Visit(clinic.clock, patient_id=visit.patient_id, course_id=visit.course_id)
    await booked(clinic, visit)
    await booked(clinic, known, 1, ahead=7 * DAY)
    await fell_out(clinic, visit)
    await booked(clinic, known, 2, ahead=6 * DAY)
    assert await rebooking(clinic) == [("requested", None)], "a visit that was booked before has only moved"
    await booked(clinic, Visit(clinic.clock, patient_id=visit.patient_id, course_id=uuid4()))
    assert await rebooking(clinic) == [("requested", None)], "another course"
    await booked(clinic, Visit(clinic.clock, patient_id=visit.patient_id, course_id=visit.course_id), ahead=-3 * DAY)
    assert await rebooking(clinic) == [("requested", None)], "entered late"
    await booked(clinic, Visit(clinic.clock, course_id=visit.course_id))
    assert await rebooking(clinic) == [("requested", None)], "another patient"


async def test_two_visits_that_fell_out_are_two_to_be_booked(clinic: Clinic) -> None:
    first = clinic.visit()
    second, third, fourth = (Visit(clinic.clock, patient_id=first.patient_id, course_id=first.course_id) for _ in range(3))
    for visit in (first, second):
        await booked(clinic, visit)
    for visit in (first, second):
        await fell_out(clinic, visit)
    await booked(clinic, third)
    assert sorted(status for status, _ in await rebooking(clinic)) == ["cancelled", "requested"]
    await booked(clinic, fourth)
    assert [status for status, _ in await rebooking(clinic)] == ["cancelled", "cancelled"]


async def test_bookings_that_come_in_one_chunk_end_one_each(clinic: Clinic) -> None:
    first = clinic.visit()
    second, third, fourth = (Visit(clinic.clock, patient_id=first.patient_id, course_id=first.course_id) for _ in range(3))
    for visit in (first, second):
        await booked(clinic, visit)
    for visit in (first, second):
        await fell_out(clinic, visit)
    ahead = clinic.clock.now() + DAY
    await clinic.tell_at_once(*(visit.told(infusions.InfusionScheduled, 1, scheduled_at=ahead) for visit in (third, fourth)))
    assert [status for status, _ in await rebooking(clinic)] == ["cancelled", "cancelled"]
