"""Two walls between clinics: the service's own check, and row-level security; each holds when the other is away."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.consents.models import Consent
from services.intake.consents.queries import consents_of, get_consent
from services.intake.consents.rules import ConsentType
from services.intake.courses.models import Course
from services.intake.courses.queries import find_open_course, get_course
from services.intake.patients.models import Patient
from services.intake.patients.queries import find_patients, get_patient
from services.intake.practitioners.models import Practitioner
from services.intake.practitioners.queries import find_practitioners, get_practitioner
from shared.db import Database
from shared.errors import NotFound
from tests.intake.conftest import (
    Caller,
    Intake,
    Json,
    assert_refused,
    course_body,
    practitioner,
    registered_patient,
    signed_consent,
    started_course,
)
from tests.support.databases import Databases


@pytest.fixture
async def foreign(other_clinic: Caller) -> Json:
    """Ids of records that belong to the other clinic."""
    patient = await registered_patient(other_clinic)
    return {
        "patient": patient["patient_id"],
        "consent": (await signed_consent(other_clinic, patient))["consent_id"],
        "course": (await started_course(other_clinic, patient))["course_id"],
        "practitioner": (await practitioner(other_clinic, "therapist"))["practitioner_id"],
    }


# Both walls


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/intake/v1/patients/{patient}", None),
        ("PATCH", "/intake/v1/patients/{patient}", {"language": "es"}),
        ("POST", "/intake/v1/patients/{patient}/death", {}),
        ("POST", "/intake/v1/patients/{patient}/withdrawal", {"requested_by": "patient"}),
        ("POST", "/intake/v1/patients/{patient}/message-opt-out", {"requested_by": "patient"}),
        ("POST", "/intake/v1/patients/{patient}/message-opt-in", {"requested_by": "patient"}),
        ("GET", "/intake/v1/patients/{patient}/consents", None),
        (
            "POST",
            "/intake/v1/patients/{patient}/consents",
            {"consent_type": "treatment", "consent_version": "1", "signed_at": "2026-11-20T10:00:00Z"},
        ),
        ("GET", "/intake/v1/consents/{consent}", None),
        ("POST", "/intake/v1/consents/{consent}/revoke", {"requested_by": "patient"}),
        ("GET", "/intake/v1/courses/{course}", None),
        ("PATCH", "/intake/v1/courses/{course}", {"planned_infusions": 8}),
        ("POST", "/intake/v1/courses/{course}/hold", {"reason": "x"}),
        ("POST", "/intake/v1/courses/{course}/resume", {}),
        ("POST", "/intake/v1/courses/{course}/stop", {"reason": "x"}),
        ("POST", "/intake/v1/courses/{course}/complete", {}),
        ("GET", "/intake/v1/practitioners/{practitioner}", None),
        ("PATCH", "/intake/v1/practitioners/{practitioner}", {"active": False}),
    ],
)
async def test_another_clinics_id_in_a_path_is_answered_like_an_unknown_one(
    clinic: Caller, foreign: Json, method: str, path: str, body: Json | None
) -> None:
    answers = []
    for ids in (foreign, {kind: str(uuid4()) for kind in foreign}):
        named = path.format(**ids)
        if method == "GET":
            answer = await clinic.get(named)
        elif method == "PATCH":
            answer = await clinic.patch(named, body or {}, 1)
        else:
            answer = await clinic.post(named, body)
        assert_refused(answer, 404, "not-found")
        answers.append({name: value for name, value in answer.json().items() if name != "instance"})
    assert answers[0] == answers[1]


@pytest.mark.parametrize("place", ["patient_id", "responsible_clinician_id", "therapist_id", "coordinator_id"])
async def test_another_clinics_id_in_a_body_is_an_unknown_reference(clinic: Caller, foreign: Json, place: str) -> None:
    own = await registered_patient(clinic)
    theirs = foreign["patient"] if place == "patient_id" else foreign["practitioner"]
    for unknown in (theirs, str(uuid4())):
        answer = await clinic.post("/intake/v1/courses", course_body(clinic, own, **{place: unknown}))
        assert_refused(answer, 422, "reference-not-found", f"/{place}")


async def test_lists_show_only_the_clinics_own(clinic: Caller, foreign: Json) -> None:
    assert (await clinic.get("/intake/v1/patients")).json()["items"] == []
    assert (await clinic.get(f"/intake/v1/courses?patient_id={foreign['patient']}")).json()["items"] == []
    listed = (await clinic.get("/intake/v1/practitioners")).json()["items"]
    assert [one["practitioner_id"] for one in listed] == [str(clinic.acting)]


async def test_another_clinics_practitioner_cannot_be_acted_for(clinic: Caller, other_clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    answer = await clinic.post("/intake/v1/courses", course_body(clinic, patient), acting=other_clinic.acting)
    assert_refused(answer, 403, "practitioner-unknown")


# Row-level security alone: these statements name the other clinic, as a query without our check could


@pytest.fixture
async def inside(intake: Intake, clinic: Caller) -> AsyncIterator[AsyncSession]:
    async with intake.service.database.transaction(clinic.clinic_id) as db:
        yield db
        await db.rollback()


@pytest.mark.parametrize(
    ("model", "kind"), [(Patient, "patient"), (Consent, "consent"), (Course, "course"), (Practitioner, "practitioner")]
)
async def test_the_database_shows_no_row_of_another_clinic(
    inside: AsyncSession, other_clinic: Caller, foreign: Json, model: type[Patient], kind: str
) -> None:
    assert await inside.get(model, (other_clinic.clinic_id, UUID(foreign[kind]))) is None


async def test_the_database_changes_no_row_of_another_clinic(inside: AsyncSession, other_clinic: Caller, foreign: Json) -> None:
    statement = text("UPDATE patient SET status = 'deceased' WHERE clinic_id = :clinic_id RETURNING patient_id")
    assert (await inside.execute(statement, {"clinic_id": other_clinic.clinic_id})).all() == []


async def test_the_database_takes_no_row_for_another_clinic(inside: AsyncSession, other_clinic: Caller) -> None:
    statement = text("INSERT INTO patient_counter (clinic_id, last_number) VALUES (:clinic_id, 1)")
    with pytest.raises(DBAPIError, match="row-level security"):
        await inside.execute(statement, {"clinic_id": other_clinic.clinic_id})


async def test_the_database_takes_no_reference_to_another_clinics_row(inside: AsyncSession, clinic: Caller, foreign: Json) -> None:
    statement = text(
        """
        INSERT INTO consent (clinic_id, consent_id, patient_id, consent_type, consent_version, signed_at, valid_until, recorded_at,
                             recorded_by, version)
        VALUES (:clinic_id, :consent_id, :patient_id, 'treatment', '1', now(), now() + interval '1 day', now(), 'Test', 1)
        """
    )
    values = {"clinic_id": clinic.clinic_id, "consent_id": uuid4(), "patient_id": UUID(foreign["patient"])}
    with pytest.raises(IntegrityError, match="foreign key"):
        await inside.execute(statement, values)


async def test_the_database_answers_nothing_outside_of_a_clinic(intake: Intake, foreign: Json) -> None:
    with pytest.raises(DBAPIError, match=r"app\.clinic_id|type uuid"):
        async with intake.service.database.transaction() as db:
            await db.execute(text("SELECT count(*) FROM patient"))


async def test_what_is_kept_for_ever_cannot_be_changed_by_the_service(inside: AsyncSession) -> None:
    for table in ("patient_change", "course_change", "audit_event"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with inside.begin_nested():
                await inside.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - our own names
    with pytest.raises(DBAPIError, match="permission denied"):
        await inside.execute(text("DELETE FROM patient"))


# Our own check alone: as a role that row-level security does not bind


@pytest.fixture
async def unguarded(databases: Databases, intake: Intake, clinic: Caller) -> AsyncIterator[AsyncSession]:
    owner = Database(await databases.unguarded(intake.service.database.url, "intake"), name="intake")
    async with owner.transaction(clinic.clinic_id) as db:
        yield db
        await db.rollback()
    await owner.close()


async def test_queries_find_nothing_of_another_clinic_even_when_the_database_would_show_it(unguarded: AsyncSession, foreign: Json) -> None:
    ids = {kind: UUID(value) for kind, value in foreign.items()}
    shown = await unguarded.execute(text("SELECT count(*) FROM patient WHERE patient_id = :id"), {"id": ids["patient"]})
    assert shown.scalar_one() == 1
    for get, kind in ((get_patient, "patient"), (get_consent, "consent"), (get_course, "course"), (get_practitioner, "practitioner")):
        with pytest.raises(NotFound):
            await get(unguarded, ids[kind])
    assert await find_patients(unguarded, [ids["patient"]]) == []
    assert await find_practitioners(unguarded, [ids["practitioner"]]) == {}
    assert await consents_of(unguarded, ids["patient"], ConsentType.MESSAGING) == []
    assert await find_open_course(unguarded, ids["patient"]) is None
