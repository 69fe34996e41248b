"""Who is likely the same person; and what happens when somebody is registered twice."""

import asyncio
from datetime import date
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from services.intake.identity.rules import ClientKind
from services.intake.patients.duplicates import LOCK
from services.intake.patients.likeness import KnownAs, likely_same
from services.intake.policy import INTAKE_POLICY
from tests.intake.conftest import Caller, Intake, Json, assert_refused, patient_body
from tests.support.waiting import eventually

PERCENT = INTAKE_POLICY.default.likely_duplicate.similar_names_percent
BORN = date(1988, 4, 17)
REASON = {"duplicate_confirmation": {"reason": "Twins."}}


def known(given: str | None, family: str | None = None, preferred: str | None = None, **more: Any) -> KnownAs:
    return KnownAs(given, family, preferred, **{"birth_date": BORN, **more})


def same(one: KnownAs, other: KnownAs) -> bool:
    answers = {likely_same(one, other, similar_percent=PERCENT), likely_same(other, one, similar_percent=PERCENT)}
    assert len(answers) == 1, "it does not matter who came first"
    return answers.pop()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (known("Marisol", "Quarterstaff"), known("marisol", "QUARTERSTAFF")),
        (known("Marisol", "Quarterstaff"), known("Quarterstaff", "Marisol")),
        (known("Jos\u00e9", "N\u00fa\u00f1ez"), known("Jose", "Nunez")),
        (known("Jose\u0301", "Nunez"), known("Jos\u00e9", "Nunez")),
        (known("S\u00f8ren", "\u0141ukasz"), known("Soren", "Lukasz")),
        (known("Wei\u00df", "Anna"), known("Weiss", "Anna")),
        (known("Sinead", "O\u2019Neil"), known("Sinead", "ONeil")),
        (known("Anne-Marie", "Weber"), known("Annemarie", "Weber")),
        (known("Anne-Marie", "Weber"), known("Anne Marie", "Weber")),
        (known("Robert", "Lane", "Bob"), known("Bob", "Lane")),
        (known("Robert", "Lane", "Bob"), known("Robert", "Lane", "Rob")),
        (known("Maria", "Lopez"), known("Maria", "Lopez Garcia")),
        (known("Maria Elena", "Lopez"), known("Maria", "Lopez")),
        (known("Catherine", "Lane"), known("Katherine", "Lane")),
        (known("Marisol", "Quarterstaff"), known("Marisol", "Quaterstaff")),
        (known("Sukarno"), known(None, "Sukarno")),
        (known("Sukarno", "Putra"), known("Sukarno")),
        (known("\u738b", "\u5c0f\u660e"), known("\u5c0f\u660e", "\u738b")),
        (known("Ann", "Lane", phone="+12125550123"), known("Zoe", "Okafor", phone="+12125550123")),
        (known("Ann", "Lane", email="Ann@example.org"), known("Zoe", "Okafor", email="ann@example.org")),
    ],
)
def test_somebody_born_on_the_same_day_with_a_like_name_or_the_same_contact_is_likely_the_same(one: KnownAs, other: KnownAs) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (known("Marisol", "Quarterstaff"), known("Marisol", "Quarterstaff", birth_date=date(1988, 4, 18))),
        (known("Ann", "Lane", phone="+12125550123"), known("Zoe", "Okafor", phone="+12125550123", birth_date=date(1990, 1, 1))),
        (known("Marisol", "Quarterstaff"), known("Theodore", "Quarterstaff")),
        (known("Marisol", "Quarterstaff"), known("Marisol", "Okafor")),
        (known("Ann", "Lane"), known("Zoe", "Okafor")),
        (known("Ann", "Lane", phone="+12125550123"), known("Zoe", "Okafor", phone="+12125550124")),
        (known("J", "Okafor"), known("J")),
        (known("\u2603"), known("\u2604")),
    ],
)
def test_others_are_not(one: KnownAs, other: KnownAs) -> None:
    assert not same(one, other)


async def registered(clinic: Caller, **changes: object) -> Json:
    answer = await clinic.post("/intake/v1/patients", patient_body(**changes))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def told_apart(intake: Intake, clinic: Caller) -> list[tuple[Any, ...]]:
    statement = text("SELECT patient_id::text, other_patient_id::text, decided_by, reason FROM distinct_patients")
    async with intake.service.database.transaction(clinic.clinic_id) as db:
        return [tuple(row) for row in await db.execute(statement)]


async def test_somebody_who_is_registered_already_is_asked_about_with_the_record(intake: Intake, clinic: Caller) -> None:
    first = await registered(clinic)
    again = await clinic.post("/intake/v1/patients", patient_body(given_name="marisol", email="new@example.org", phone=None))
    assert_refused(again, 409, "possible-duplicate")
    assert again.json()["possible_duplicates"] == [{"patient_id": first["patient_id"], "patient_number": "P-000001"}]
    assert again.json()["override"] == "duplicate_confirmation"
    async with intake.service.database.transaction(clinic.clinic_id) as db:
        shown = await db.execute(
            text("SELECT patient_id, patient_ids::text[] FROM audit_event WHERE operation = 'register_patient' AND outcome = 409")
        )
        assert [tuple(row) for row in shown] == [(None, [first["patient_id"]])], "whose record was shown, and nobody who is not there"
    assert not {"marisol", "Quarterstaff", "new@example.org", "1988-04-17"} & set(again.text.replace('"', " ").split())
    assert clinic.clinic_id is not None
    assert await intake.count("patient", clinic.clinic_id) == 1


async def test_two_people_are_registered_with_a_reason_that_is_kept(intake: Intake, clinic: Caller) -> None:
    first = await registered(clinic)
    twin = await registered(clinic, given_name="Marisa", **REASON)
    assert "duplicate_confirmation" not in twin
    assert await told_apart(intake, clinic) == [(twin["patient_id"], first["patient_id"], f"Practitioner/{clinic.acting}", "Twins.")]


async def test_a_reason_where_nobody_asked_is_not_kept(intake: Intake, clinic: Caller) -> None:
    await registered(clinic, **REASON)
    assert await told_apart(intake, clinic) == []


@pytest.mark.parametrize(("step", "body"), [("death", {}), ("withdrawal", {"requested_by": "patient"})])
async def test_who_has_left_or_died_is_still_registered(clinic: Caller, step: str, body: Json) -> None:
    first = await registered(clinic)
    assert (await clinic.post(f"/intake/v1/patients/{first['patient_id']}/{step}", body)).status_code == 200
    assert_refused(await clinic.post("/intake/v1/patients", patient_body()), 409, "possible-duplicate")


async def test_another_clinics_patient_is_nobodys_duplicate(clinic: Caller, other_clinic: Caller) -> None:
    await registered(clinic)
    await registered(other_clinic)


async def test_who_may_not_read_patients_does_not_learn_which_record_it_is(intake: Intake, clinic: Caller) -> None:
    await registered(clinic)
    front_desk = await intake.client(ClientKind.CLINIC_SYSTEM, clinic_id=clinic.clinic_id, scopes=["system/Patient.c"])
    front_desk.acting = clinic.acting
    answer = await front_desk.post("/intake/v1/patients", patient_body())
    assert_refused(answer, 409, "possible-duplicate")
    assert "possible_duplicates" not in answer.json()


async def test_of_two_registrations_at_one_moment_one_is_asked(clinic: Caller) -> None:
    answers = await asyncio.gather(*(clinic.post("/intake/v1/patients", patient_body()) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_a_correction_that_makes_two_alike_is_asked_about_once(intake: Intake, clinic: Caller) -> None:
    first = await registered(clinic)
    other = await registered(clinic, given_name="Zoe", family_name="Okafor", email="zoe@example.org", phone="+13125550142")
    path = f"/intake/v1/patients/{other['patient_id']}"
    for changes in ({"given_name": "Marisol", "family_name": "Quarterstaff"}, {"phone": first["phone"]}, {"email": "MARISOL@example.org"}):
        asked = await clinic.patch(path, changes, 1)
        assert_refused(asked, 409, "possible-duplicate")
        assert [one["patient_id"] for one in asked.json()["possible_duplicates"]] == [first["patient_id"]]
    assert (await clinic.get(path)).json() == other
    assert (await clinic.patch(path, {"phone": first["phone"], **REASON}, 1)).status_code == 200
    assert [row[:2] for row in await told_apart(intake, clinic)] == [(other["patient_id"], first["patient_id"])]
    assert (await clinic.patch(path, {"phone": "+13125550142"}, 2)).status_code == 200
    assert (await clinic.patch(path, {"given_name": "Marisol", "family_name": "Quarterstaff"}, 3)).status_code == 200
    there_too = await clinic.patch(f"/intake/v1/patients/{first['patient_id']}", {"given_name": "Mari"}, 1)
    assert there_too.status_code == 200


async def test_a_correction_of_one_of_two_that_were_alike_is_not_asked_about(clinic: Caller) -> None:
    await registered(clinic)
    twin = await registered(clinic, **REASON)
    changed = await clinic.patch(f"/intake/v1/patients/{twin['patient_id']}", {"preferred_name": "Sol", "time_zone": "America/Denver"}, 1)
    assert changed.status_code == 200


async def test_two_corrections_that_meet_at_one_birth_date_do_not_pass_each_other(intake: Intake, clinic: Caller) -> None:
    """Both wait for whoever is at that birth date, one behind the other; the second then sees what the first has written."""
    one = await registered(clinic, birth_date="1988-04-18")
    other = await registered(clinic, birth_date="1988-04-19")
    paths = [f"/intake/v1/patients/{patient['patient_id']}" for patient in (one, other)]
    async with asyncio.TaskGroup() as both, intake.service.database.transaction(clinic.clinic_id) as db:
        await db.execute(LOCK, {"clinic_id": clinic.clinic_id, "birth_date": BORN})
        changes = [both.create_task(clinic.patch(path, {"birth_date": BORN.isoformat()}, 1)) for path in paths]
        await eventually(partial(waiting, intake, len(paths)))
    assert sorted(change.result().status_code for change in changes) == [200, 409]


async def waiting(intake: Intake, number: int) -> bool:
    statement = text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    async with intake.service.database.transaction() as db:
        return bool((await db.execute(statement)).scalar_one() == number)


@pytest.mark.parametrize("confirmation", [{}, {"reason": ""}, {"reason": None}, {"reason": " "}, "yes", True])
async def test_a_reason_is_said_in_words(clinic: Caller, confirmation: object) -> None:
    answer = await clinic.post("/intake/v1/patients", patient_body(duplicate_confirmation=confirmation))
    assert answer.status_code == 422
