"""What is known by events: the same in whatever order and however often they come."""

from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.sessions.subjects.models import Subject
from services.sessions.subjects.queries import get_subject_for_booking
from shared.events import Event
from shared.events import intake as facts
from tests.sessions.clinic import Clinic, Person


async def known(clinic: Clinic, table: str) -> list[tuple[Any, ...]]:
    """The rows of a projection, without the keys that every try has anew."""
    async with clinic.service.database.transaction(clinic.clinic_id) as db:
        rows = await db.execute(text(f"SELECT to_jsonb(t) - 'patient_id' - 'course_id' - 'consent_id' AS row FROM {table} t"))  # noqa: S608
        return [tuple(sorted(row.items())) for row in rows.scalars()]


async def subject_of(clinic: Clinic, person: Person) -> Subject:
    async with clinic.service.database.transaction(clinic.clinic_id) as db:
        return await get_subject_for_booking(db, person.patient_id, person.course_id)


def the_life_of(person: Person) -> list[Event]:
    """Six facts in the order in which they came true."""
    return [
        person.described(version=1),
        person.described(version=2, zone="America/Denver", number="P-0043"),
        person.course(version=1, ran=[person.span()]),
        person.course(version=2, status="on-hold", protocol_version=2, ran=[person.span(until=timedelta(days=-1))]),
        person.described(
            version=3, status="deceased", zone="America/Denver", number="P-0043", active=[person.span(until=timedelta(days=-2))]
        ),
        facts.PatientDeceased(occurred_at=person.now, patient_id=person.patient_id, patient_version=3),
    ]


async def test_any_order_of_a_patients_facts_leads_to_the_same_knowledge(clinic: Clinic) -> None:
    outcomes = set()
    for number, order in enumerate(permutations(range(6))):
        if number % 15:
            continue
        person = Person(clinic)
        life = the_life_of(person)
        await clinic.tell(*(life[index] for index in order))
        async with clinic.service.database.transaction(clinic.clinic_id) as db:
            row = await db.execute(
                text(
                    "SELECT p.patient_number, p.time_zone, p.version, p.status, p.status_version,"
                    " c.status AS course, c.version AS of_course, c.protocol_version, p.active_version, c.ran_version,"
                    " p.active::text, c.ran::text"
                    " FROM patient p JOIN course c USING (clinic_id, patient_id) WHERE patient_id = :patient"
                ),
                {"patient": person.patient_id},
            )
            outcomes.add(tuple(row.one()))
    (outcome,) = outcomes
    assert outcome[:-2] == ("P-0043", "America/Denver", 3, "deceased", 3, "on-hold", 2, 2, 3, 2)
    assert all("2026-" in spans for spans in outcome[-2:])


async def test_the_same_fact_twice_changes_nothing(clinic: Clinic) -> None:
    person = Person(clinic)
    life = [*the_life_of(person), person.consent(), person.revoked(), person.standing("revoked", person.span(until=timedelta(days=-1)))]
    await clinic.tell(*life)
    before = [await known(clinic, table) for table in ("clinic", "patient", "course", "consent", "consent_standing")]
    await clinic.tell(*life, *reversed(life))
    assert [await known(clinic, table) for table in ("clinic", "patient", "course", "consent", "consent_standing")] == before


@pytest.mark.parametrize(("since_the_end", "was"), [(timedelta(seconds=-1), True), (timedelta(0), False)])
async def test_how_things_stood_is_judged_by_what_was_told(clinic: Clinic, since_the_end: timedelta, was: bool) -> None:
    person = Person(clinic)
    span = person.span(until=timedelta(hours=-1))
    await clinic.tell(person.described(status="withdrawn", active=[span]), person.course(status="completed", ran=[span]))
    subject = await subject_of(clinic, person)
    at = person.now - timedelta(hours=1) + since_the_end
    assert (subject.patient.was_active(at), subject.course.ran_at(at)) == (was, was)


async def test_where_it_was_not_told_how_things_stood_todays_status_counts(clinic: Clinic) -> None:
    person = Person(clinic)
    await clinic.tell(person.described(), person.course(version=1, ran=[person.span()]), person.course(version=2, status="stopped"))
    subject = await subject_of(clinic, person)
    long_ago = person.now - timedelta(days=30)
    assert (subject.patient.was_active(long_ago), subject.course.ran_at(long_ago)) == (True, False)


async def test_a_death_makes_what_was_told_before_it_old(clinic: Clinic) -> None:
    person = Person(clinic)
    dead = facts.PatientDeceased(occurred_at=person.now, patient_id=person.patient_id, patient_version=2)
    await clinic.tell(person.described(active=[person.span()]), person.course(), dead)
    assert not (await subject_of(clinic, person)).patient.was_active(person.now - timedelta(days=1))


async def test_a_clinic_takes_part_until_it_is_told_that_it_does_not(clinic: Clinic) -> None:
    closed = facts.ClinicChanged(
        occurred_at=clinic.clock.now(), clinic_id=clinic.clinic_id, clinic_version=2, time_zone="America/New_York", active=False
    )
    await clinic.tell(closed)
    assert [dict(row)["active"] for row in await known(clinic, "clinic")] == [False]


async def test_an_older_description_does_not_wake_the_dead(clinic: Clinic) -> None:
    person = Person(clinic)
    dead = facts.PatientDeceased(occurred_at=person.now, patient_id=person.patient_id, patient_version=3)
    await clinic.tell(person.course(), dead, person.described(version=2))
    booking = {"patient_id": str(person.patient_id), "course_id": str(person.course_id), "scheduled_at": clinic.at(60)}
    answer = await clinic.post("/infusions", booking)
    assert (answer.status_code, answer.json()["code"]) == (409, "patient-deceased")


async def test_a_death_recorded_by_mistake_is_taken_back_by_a_newer_description(clinic: Clinic) -> None:
    person = await clinic.patient()
    await clinic.tell(facts.PatientDeceased(occurred_at=person.now, patient_id=person.patient_id, patient_version=2))
    await clinic.tell(person.described(version=3))
    await clinic.scheduled(person)


async def test_a_patient_of_whom_only_the_death_is_known_is_unknown_to_bookings(clinic: Clinic) -> None:
    person = Person(clinic)
    await clinic.tell(person.course(), facts.PatientDeceased(occurred_at=person.now, patient_id=person.patient_id, patient_version=3))
    booking = {"patient_id": str(person.patient_id), "course_id": str(person.course_id), "scheduled_at": clinic.at(60)}
    answer = await clinic.post("/infusions", booking)
    assert (answer.status_code, answer.json()["code"]) == (422, "reference-not-found")


@pytest.mark.parametrize("missing", ["patient_id", "course_id"])
async def test_a_booking_for_what_is_not_known_here_names_what_is_unknown(clinic: Clinic, missing: str) -> None:
    person = await clinic.patient()
    booking = {"patient_id": str(person.patient_id), "course_id": str(person.course_id), "scheduled_at": clinic.at(60)}
    answer = await clinic.post("/infusions", {**booking, missing: str(uuid4())})
    assert (answer.status_code, answer.json()["code"]) == (422, "reference-not-found")
    assert answer.json()["errors"][0]["pointer"] == f"/{missing}"


async def test_a_patients_course_is_their_own(clinic: Clinic) -> None:
    one, other = await clinic.patient(), await clinic.patient()
    booking = {"patient_id": str(one.patient_id), "course_id": str(other.course_id), "scheduled_at": clinic.at(60)}
    answer = await clinic.post("/infusions", booking)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/course_id")
