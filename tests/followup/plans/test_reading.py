"""What is kept of when patients were followed and courses ran, and that many patients are read in two statements."""

from datetime import timedelta
from uuid import uuid4

from services.followup.plans.facts import Absence, Cause, Span
from services.followup.plans.reading import Known, read
from services.followup.plans.wanted import Key
from shared.events import intake as people
from shared.events import sessions as infusions
from tests.benchmarks.recording import noted
from tests.followup.clinic import Clinic, Visit

DAY = timedelta(days=1)


async def known(clinic: Clinic, visit: Visit) -> Known:
    async with clinic.database.transaction(clinic.clinic_id) as db:
        return (await read(db, [visit.patient_id]))[visit.patient_id]


def course(clinic: Clinic, visit: Visit, status: str, version: int, ran: list[people.Span] | None) -> people.CourseChanged:
    return people.CourseChanged(
        occurred_at=clinic.clock.now(), course_id=visit.course_id, course_version=version, patient_id=visit.patient_id, status=status,
        protocol_code="default", protocol_version=1, planned_infusions=6, responsible_clinician_id=uuid4(), therapist_id=None,
        coordinator_id=None, ran=ran,
    )  # fmt: skip


async def test_the_times_in_the_programme_and_the_wish_for_messages_are_kept_by_version(clinic: Clinic) -> None:
    visit, now = clinic.visit(), clinic.clock.now()
    spans = [people.Span(since=now - 9 * DAY, until=now - 5 * DAY), people.Span(since=now - DAY)]
    await clinic.patient(visit, version=3, active=spans, messages_allowed=False)
    await clinic.patient(visit, version=2, active=[spans[0]], messages_allowed=True)
    facts = (await known(clinic, visit)).facts
    assert facts.absences == (Absence(Cause.WITHDRAWAL, Span(now - 5 * DAY, now - DAY)),)
    assert not facts.messages_allowed


async def test_the_times_in_which_a_course_ran_are_kept_by_version(clinic: Clinic) -> None:
    visit, now = clinic.visit(), clinic.clock.now()
    ran = [people.Span(since=now - 9 * DAY, until=now - DAY)]
    await clinic.tell(course(clinic, visit, "completed", 3, ran), course(clinic, visit, "active", 2, None))
    await clinic.patient(visit)
    (told,) = (await known(clinic, visit)).facts.courses
    assert (told.runs, told.ended_at) == ((Span(now - 9 * DAY, now - DAY),), now - DAY)


async def test_when_a_patient_was_discharged_outlasts_a_correction_which_does_not_tell_it(clinic: Clinic) -> None:
    visit, now = clinic.visit(), clinic.clock.now()
    await clinic.tell(visit.told(pump_ended_at=now - timedelta(hours=2)), visit.told(infusions.InfusionAmended, 5))
    (infusion,) = (await known(clinic, visit)).facts.visits
    assert (infusion.pump_ended_at, infusion.discharged_at) == (now - timedelta(hours=1), now)


async def test_many_patients_are_read_in_two_statements_each_with_their_own(clinic: Clinic) -> None:
    visits = [clinic.visit() for _ in range(4)]
    await clinic.tell(*(visit.told() for visit in visits))
    with noted(clinic.database.engine) as transactions:
        async with clinic.database.transaction(clinic.clinic_id) as db:
            found = await read(db, [visit.patient_id for visit in visits])
    (transaction,) = transactions
    assert len([sent for sent in transaction.statements if "set_config" not in sent.sql]) == 2
    for visit in visits:
        items = found[visit.patient_id].items
        assert {visit.infusion_id, visit.course_id} >= {key.anchor_id for key in items.stored} > set()
        assert Key(visit.infusion_id, "C72") in items.stored
        assert all(item.row_id for item in items.stored.values())


async def test_another_clinics_patient_is_not_read(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    async with clinic.database.transaction(uuid4()) as db:
        assert await read(db, [visit.patient_id]) == {}
