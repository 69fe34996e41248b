"""What events leave is what the comparison wants."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from shared.events import intake as people
from shared.events import sessions as infusions
from tests.followup.clinic import Clinic, Visit
from tests.followup.plans.comparing import differences

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AMENDED, STARTED, VOID = infusions.InfusionAmended, infusions.InfusionStarted, infusions.InfusionEnteredInError

Story = Callable[[Clinic, Visit], Awaitable[None]]


async def heard_in_time(clinic: Clinic, visit: Visit) -> None:
    await clinic.tell(visit.told(pump_ended_at=clinic.clock.now()))


async def heard_late(clinic: Clinic, visit: Visit) -> None:
    await clinic.tell(visit.told(pump_ended_at=clinic.clock.now() - 54 * HOUR))


async def asked(clinic: Clinic, visit: Visit) -> None:
    await heard_in_time(clinic, visit)
    await clinic.pass_time(23 * HOUR)


async def weeks_passed(clinic: Clinic, visit: Visit) -> None:
    await heard_in_time(clinic, visit)
    await clinic.pass_time(16 * DAY)


async def stopped_early(clinic: Clinic, visit: Visit) -> None:
    await clinic.tell(visit.told(infusions.InfusionStoppedEarly, pump_ended_at=clinic.clock.now()))


async def transferred(clinic: Clinic, visit: Visit) -> None:
    await clinic.tell(visit.told(infusions.InfusionTransferred, pump_ended_at=clinic.clock.now()))


async def left_against_advice(clinic: Clinic, visit: Visit) -> None:
    await clinic.tell(visit.told(infusions.InfusionLeftAgainstAdvice, pump_ended_at=clinic.clock.now()))


async def nothing_given(clinic: Clinic, visit: Visit) -> None:
    await clinic.tell(visit.told(drug_given=False, first_of_course=False, pump_ended_at=clinic.clock.now()))


async def t0_later(clinic: Clinic, visit: Visit) -> None:
    await asked(clinic, visit)
    await clinic.tell(visit.told(AMENDED, 5, pump_ended_at=clinic.clock.now() - 3 * HOUR))


async def t0_far_earlier(clinic: Clinic, visit: Visit) -> None:
    await asked(clinic, visit)
    await clinic.tell(visit.told(AMENDED, 5, pump_ended_at=clinic.clock.now() - 4 * DAY))


async def to_nothing(clinic: Clinic, visit: Visit) -> None:
    await asked(clinic, visit)
    await clinic.tell(visit.told(AMENDED, 5, pump_ended_at=clinic.clock.now() - 23 * HOUR, drug_given=False, first_of_course=False))


async def and_back(clinic: Clinic, visit: Visit) -> None:
    await to_nothing(clinic, visit)
    await clinic.tell(visit.told(AMENDED, 6, pump_ended_at=clinic.clock.now() - 23 * HOUR))


async def next_begun(clinic: Clinic, visit: Visit) -> None:
    await heard_in_time(clinic, visit)
    await clinic.pass_time(48 * HOUR)
    following = Visit(visit.clock, patient_id=visit.patient_id, course_id=visit.course_id)
    await clinic.tell(following.told(STARTED, 3, started_at=clinic.clock.now()))


async def died(clinic: Clinic, visit: Visit) -> None:
    await asked(clinic, visit)
    await clinic.tell(people.PatientDeceased(occurred_at=clinic.clock.now(), patient_id=visit.patient_id, patient_version=2))


async def left(clinic: Clinic, visit: Visit) -> None:
    await asked(clinic, visit)
    await clinic.tell(people.PatientWithdrawn(occurred_at=clinic.clock.now(), patient_id=visit.patient_id, patient_version=2))


async def death_was_a_mistake(clinic: Clinic, visit: Visit) -> None:
    await died(clinic, visit)
    await clinic.patient(visit, version=3, status="active", death_corrected=3)


async def consent_revoked(clinic: Clinic, visit: Visit) -> None:
    await asked(clinic, visit)
    await clinic.tell(clinic.consent(visit, "revoked", 2))


async def zone_corrected(clinic: Clinic, visit: Visit) -> None:
    await heard_in_time(clinic, visit)
    await clinic.patient(visit, version=2, time_zone="America/Los_Angeles")


async def heard_weeks_late(clinic: Clinic, visit: Visit) -> None:
    await clinic.tell(visit.told(pump_ended_at=clinic.clock.now() - 16 * DAY))
    await clinic.pass_time(HOUR)


async def next_void(clinic: Clinic, visit: Visit) -> None:
    await heard_in_time(clinic, visit)
    await clinic.pass_time(62 * HOUR)
    following = Visit(visit.clock, patient_id=visit.patient_id, course_id=visit.course_id)
    await clinic.tell(following.told(STARTED, 3, started_at=clinic.clock.now()))
    await clinic.pass_time(HOUR)
    await clinic.tell(following.told(VOID, 4))


async def next_void_past_due(clinic: Clinic, visit: Visit) -> None:
    await heard_in_time(clinic, visit)
    await clinic.pass_time(62 * HOUR)
    following = Visit(visit.clock, patient_id=visit.patient_id, course_id=visit.course_id)
    await clinic.tell(following.told(STARTED, 3, started_at=clinic.clock.now()))
    await clinic.pass_time(20 * HOUR)
    await clinic.tell(following.told(VOID, 4))


async def void(clinic: Clinic, visit: Visit) -> None:
    await asked(clinic, visit)
    await clinic.tell(visit.told(VOID, 5))


async def then_stopped_early(clinic: Clinic, visit: Visit) -> None:
    await heard_in_time(clinic, visit)
    await clinic.tell(visit.told(AMENDED, 5, pump_ended_at=clinic.clock.now(), outcome="stopped-early"))


async def then_transferred(clinic: Clinic, visit: Visit) -> None:
    await heard_in_time(clinic, visit)
    await clinic.tell(visit.told(AMENDED, 5, pump_ended_at=clinic.clock.now(), outcome="transferred"))


async def returned(clinic: Clinic, visit: Visit) -> None:
    await left(clinic, visit)
    await clinic.patient(visit, version=3, status="active")


async def consent_signed_again(clinic: Clinic, visit: Visit) -> None:
    await consent_revoked(clinic, visit)
    await clinic.tell(clinic.consent(visit, "active", 3))


async def course_ended(clinic: Clinic, visit: Visit) -> None:
    await weeks_passed(clinic, visit)
    told = people.CourseChanged(
        occurred_at=clinic.clock.now(), course_id=visit.course_id, patient_id=visit.patient_id, course_version=2, status="completed",
        protocol_code="default", protocol_version=1, planned_infusions=6, responsible_clinician_id=visit.therapist_id,
        therapist_id=visit.therapist_id, coordinator_id=None,
    )  # fmt: skip
    await clinic.tell(told)


STORIES = [
    heard_in_time, heard_late, asked, weeks_passed, stopped_early, transferred, left_against_advice, nothing_given, t0_later, to_nothing,
    next_begun, next_void, next_void_past_due, void, died, left, then_stopped_early, course_ended, then_transferred, t0_far_earlier,
    heard_weeks_late, and_back, death_was_a_mistake, returned, consent_revoked, consent_signed_again, zone_corrected,
]  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
async def test_what_events_leave_is_what_the_comparison_wants(clinic: Clinic, story: Story) -> None:
    visit = clinic.visit()
    await clinic.patient(visit)
    await story(clinic, visit)
    assert await differences(clinic, visit) == []
