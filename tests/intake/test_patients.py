import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.intake.patients.rules import (
    Change,
    PatientStatus,
    age_on,
    allowed_changes,
    display_name,
    messages_allowed,
    missing_address,
    patient_number,
)
from services.intake.patients.rules import Channel as Via
from services.intake.retelling import Retelling
from shared.clock import FrozenClock
from tests.intake.conftest import Caller, Intake, Json, assert_refused, patient_body, practitioner, registered_patient, signed_consent

# Rules


@pytest.mark.parametrize(
    ("birth_date", "day", "years"),
    [
        (date(2008, 11, 24), date(2026, 11, 23), 17),
        (date(2008, 11, 23), date(2026, 11, 23), 18),
        (date(2008, 2, 29), date(2026, 2, 28), 17),
        (date(2008, 2, 29), date(2026, 3, 1), 18),
    ],
)
def test_age_counts_completed_years(birth_date: date, day: date, years: int) -> None:
    assert age_on(birth_date, day) == years


def test_nothing_follows_death_but_that_there_was_none() -> None:
    assert allowed_changes(PatientStatus.DECEASED, opted_out=False) == [Change.DEATH_ENTERED_IN_ERROR]
    assert not messages_allowed(PatientStatus.DECEASED, Via.EMAIL, opted_out=False)


def test_a_withdrawn_patient_can_still_die_and_opt_out_but_not_withdraw_again() -> None:
    withdrawn = allowed_changes(PatientStatus.WITHDRAWN, opted_out=False)
    assert withdrawn == [Change.DEATH, Change.WITHDRAWAL_ENTERED_IN_ERROR, Change.MESSAGE_OPT_OUT]


def test_only_an_electronic_channel_of_an_active_patient_who_has_not_opted_out_gets_messages() -> None:
    assert messages_allowed(PatientStatus.ACTIVE, Via.SMS, opted_out=False)
    assert not messages_allowed(PatientStatus.ACTIVE, Via.SMS, opted_out=True)
    assert not messages_allowed(PatientStatus.ACTIVE, Via.PHONE_STAFF, opted_out=False)
    assert not messages_allowed(PatientStatus.WITHDRAWN, Via.EMAIL, opted_out=False)


def test_each_channel_needs_its_address_and_post_needs_none() -> None:
    assert missing_address(Via.EMAIL, email=None, phone="+12125550123") == "email"
    assert missing_address(Via.SMS, email="a@example.org", phone=None) == "phone"
    assert missing_address(Via.PHONE_STAFF, email=None, phone=None) == "phone"
    assert missing_address(Via.POST, email=None, phone=None) is None


def test_patient_numbers_are_readable_and_go_beyond_a_million() -> None:
    assert patient_number(123) == "P-000123"
    assert patient_number(1_234_567) == "P-1234567"


@pytest.mark.parametrize(
    ("given", "family", "preferred", "shown"),
    [
        ("Marisol", "Quarterstaff", None, "Marisol Quarterstaff"),
        ("Marisol", "Quarterstaff", "Mari", "Mari Quarterstaff"),
        ("Sukarno", None, None, "Sukarno"),
        (None, "Sukarno", None, "Sukarno"),
        (None, "Sukarno", "Karno", "Karno Sukarno"),
        ("Sukarno", None, "Karno", "Karno"),
    ],
)
def test_somebody_is_called_by_the_names_that_there_are(given: str | None, family: str | None, preferred: str | None, shown: str) -> None:
    assert display_name(given, family, preferred=preferred) == shown


# Registration


async def test_a_registered_patient_can_be_read_back(clinic: Caller) -> None:
    emergency = {"name": "Theo", "relationship": "brother", "phone": "+13125550142", "may_be_told": "appointments"}
    patient = await registered_patient(
        clinic, preferred_name="Mari", safe_contact={"may_leave_message": True, "neutral_text_only": True}, emergency_contact=emergency
    )
    answer = await clinic.get(f"/intake/v1/patients/{patient['patient_id']}")
    assert answer.json() == patient
    assert answer.headers["ETag"] == 'W/"1"'
    assert patient["emergency_contact"] == emergency
    assert patient["safe_contact"] == {"may_leave_message": True, "neutral_text_only": True}
    assert (patient["status"], patient["status_changed_by"]) == ("active", f"Practitioner/{clinic.acting}")


@pytest.mark.parametrize(("there", "missing"), [("given_name", "family_name"), ("family_name", "given_name")])
async def test_a_person_may_have_one_name(clinic: Caller, followup: Caller, there: str, missing: str) -> None:
    body = {name: value for name, value in patient_body(**{there: "Sukarno"}).items() if name != missing}
    answer = await clinic.post("/intake/v1/patients", body)
    patient = answer.json()
    assert (answer.status_code, patient[there], patient[missing]) == (201, "Sukarno", None)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    asked = {"patient_ids": [patient["patient_id"]]}
    names = await followup.post("/intake/v1/directory/names", asked, Afterglow_Clinic=str(clinic.clinic_id))
    assert list(names.json()["names"].values()) == ["Sukarno"]
    both = await clinic.patch(path, {missing: "Putra"}, 1)
    assert {both.json()["given_name"], both.json()["family_name"]} == {"Sukarno", "Putra"}
    assert (await clinic.patch(path, {missing: None}, 2)).json()[missing] is None
    assert_refused(await clinic.patch(path, {there: None}, 3), 422, "required", "/family_name")
    assert (await clinic.get(path)).json()["version"] == 3


async def test_by_default_nothing_may_be_left_where_others_hear_it(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    assert patient["safe_contact"] == {"may_leave_message": False, "neutral_text_only": True}


async def test_numbers_run_by_clinic_and_without_gaps_after_a_refusal(clinic: Caller, other_clinic: Caller) -> None:
    first = await registered_patient(clinic)
    await clinic.post("/intake/v1/patients", patient_body(birth_date="2020-01-01"))
    second = await registered_patient(clinic)
    elsewhere = await registered_patient(other_clinic)
    assert [one["patient_number"] for one in (first, second, elsewhere)] == ["P-000001", "P-000002", "P-000001"]


async def test_contact_details_are_normalised(clinic: Caller) -> None:
    patient = await registered_patient(clinic, email="Marisol@EXAMPLE.org", phone="+1 (212) 555-0123")
    assert (patient["email"], patient["phone"]) == ("Marisol@example.org", "+12125550123")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("es-419", "es-419"),
        ("zh-hans", "zh-Hans"),
        ("pt-br", "pt-BR"),
        ("SR-LATN-rs", "sr-Latn-RS"),
        ("de-CH-1996", "de-CH-1996"),
        ("sl-Rozaj-Biske", "sl-rozaj-biske"),
        ("yue", "yue"),
    ],
)
async def test_a_language_tag_is_kept_in_its_usual_case(clinic: Caller, typed: str, kept: str) -> None:
    assert (await registered_patient(clinic, language=typed))["language"] == kept


async def test_an_internationalised_domain_is_kept_as_it_is_delivered(clinic: Caller) -> None:
    patient = await registered_patient(clinic, email="marisol@b\u00fccher.example")
    assert patient["email"] == "marisol@xn--bcher-kva.example"


NOT_ONLY_A_NUMBER = [
    "+49 30 123456 Tel",
    "+43 1 5123456 home",
    "+49 30 123456 (Buro)",
    "+1 212 555 cell",
    "+40721eeasd0",
    "+1 212 555 0123 cell",
    "+1 212 555 01 23 a",
    "Tel +1 212 555 0123",
    "tel:+12125550123",
    "+1-800-FLOWERS",
    "+12125550123x7",
    "+12125550123;ext=7",
    "+12125550123#7",
    "+12125550123,,7",
    "+12125550123/+12125550124",
    "+49 30 123456/7",
    "+12125550123 +12125550124",
    "++12125550123",
    "\uff0b12125550123",
    "+\uff11\uff12\uff11\uff12\uff15\uff15\uff15\uff10\uff11\uff12\uff13",
    "+1212555012\u0663",
    "+49 (0)30 123456",
    "+1 212 555\u00a00123",
    "+1 212 555\u20110123",
    "001 212 555 0123",
    " +12125550123",
    "+12125550123 ",
    "+ 12125550123",
    "+1212555012",
    "+121255501234",
    "+99912345678",
]


@pytest.mark.parametrize("phone", NOT_ONLY_A_NUMBER)
async def test_what_is_not_only_a_telephone_number_is_refused_wherever_one_is_taken(intake: Intake, clinic: Caller, phone: str) -> None:
    contact = {"name": "Theo", "relationship": "brother", "phone": phone}
    for changes, pointer in (({"phone": phone}, "/phone"), ({"emergency_contact": contact}, "/emergency_contact/phone")):
        answer = await clinic.post("/intake/v1/patients", patient_body(**changes))
        assert_refused(answer, 422, "phone-invalid", pointer)
    assert clinic.clinic_id is not None
    assert await intake.count("patient", clinic.clinic_id) == 0


@pytest.mark.parametrize(
    "phone", ["+1 212 555 0123", "+1 (212) 555-0123", "+1.212.555.0123", "+39 06 6982", "+49-30-123456", "+447911123456"]
)
async def test_a_number_keeps_the_digits_that_were_typed(clinic: Caller, phone: str) -> None:
    patient = await registered_patient(clinic, phone=phone)
    assert patient["phone"] == "+" + "".join(one for one in phone if one.isdigit())


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"birth_date": "2026-11-24"}, "birth-date-in-future", "/birth_date"),
        ({"birth_date": "1899-12-31"}, "time-out-of-range", "/birth_date"),
        ({"birth_date": "1988-02-30"}, "time-format", "/birth_date"),
        ({"birth_date": "1988-04-17T00:00:00Z"}, "time-format", "/birth_date"),
        ({"birth_date": 577_929_600}, "time-format", "/birth_date"),
        ({"time_zone": "America/Gotham"}, "time-zone-unknown", "/time_zone"),
        ({"time_zone": "EST5EDT"}, "time-zone-unknown", "/time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time-zone-unknown", "/time_zone"),
        ({"phone": "3125550199"}, "phone-invalid", "/phone"),
        ({"phone": "+1312555"}, "phone-invalid", "/phone"),
        ({"phone": "+12125550123 ext. 7"}, "phone-invalid", "/phone"),
        ({"email": "marisol@"}, "email-invalid", "/email"),
        ({"email": "=?utf-8?q?stranger?=@example.org"}, "text-not-allowed", "/email"),
        ({"email": "mari\u00e9@example.org"}, "email-invalid", "/email"),
        ({"email": "marisol@example.org\r\nBcc: x@example.org"}, "text-not-allowed", "/email"),
        ({"language": "english"}, "format", "/language"),
        ({"language": "e"}, "format", "/language"),
        ({"language": "es_MX"}, "format", "/language"),
        ({"language": "es-"}, "format", "/language"),
        ({"language": "es-MX-MX"}, "format", "/language"),
        ({"language": "de-1996-1996"}, "language-repeats", "/language"),
        ({"language": "zh-yue"}, "format", "/language"),
        ({"language": "x-mine"}, "format", "/language"),
        ({"language": "en-x-mine"}, "format", "/language"),
        ({"language": "en-u-ca-buddhist"}, "format", "/language"),
        ({"language": "e\uff4e"}, "format", "/language"),
        ({"language": "sl-rozaj-biske-1994-rozaj2-rozaj3-rozaj4"}, "too-long", "/language"),
        ({"preferred_channel": "pigeon"}, "not-one-of", "/preferred_channel"),
        ({"preferred_channel": "email", "email": None}, "required", "/email"),
        ({"preferred_channel": "sms", "phone": None}, "required", "/phone"),
        ({"given_name": ""}, "too-short", "/given_name"),
        ({"given_name": "\u200b\u200b"}, "text-not-allowed", "/given_name"),
        ({"family_name": "Evil\u202eeman"}, "text-not-allowed", "/family_name"),
        ({"family_name": "x" * 101}, "too-long", "/family_name"),
        ({"given_name": None, "family_name": None}, "required", "/family_name"),
        ({"given_name": 5}, "type", "/given_name"),
        ({"emergency_contact": {"name": "Theo", "relationship": "brother"}}, "required", "/emergency_contact/phone"),
        ({"is_admin": True}, "unknown-field", ""),
        ({"clinic_id": "00000000-0000-4000-8000-000000000000"}, "unknown-field", ""),
        ({"patient_number": "P-000777"}, "unknown-field", ""),
    ],
)
async def test_what_cannot_be_is_refused_and_leaves_no_row(intake: Intake, clinic: Caller, changes: Json, code: str, pointer: str) -> None:
    answer = await clinic.post("/intake/v1/patients", patient_body(**changes))
    assert_refused(answer, 422, code, pointer)
    for value in changes.values():
        assert not isinstance(value, str) or len(value) < 6 or value not in answer.text
    assert clinic.clinic_id is not None
    assert await intake.count("patient", clinic.clinic_id) == await intake.count("idempotency_key", clinic.clinic_id) - 1 == 0


async def test_a_patient_under_the_minimum_age_is_a_conflict_that_names_the_age(clinic: Caller) -> None:
    answer = await clinic.post("/intake/v1/patients", patient_body(birth_date="2008-11-24"))
    assert_refused(answer, 409, "under-minimum-age")
    assert answer.json()["minimum_age_years"] == 18
    await registered_patient(clinic, birth_date="2008-11-23")


async def test_the_birthday_is_the_one_in_the_patients_zone(clinic: Caller) -> None:
    await registered_patient(clinic, birth_date="2008-11-24", time_zone="Pacific/Kiritimati")


async def test_script_and_formula_in_a_name_are_only_text(clinic: Caller) -> None:
    patient = await registered_patient(clinic, given_name="<script>alert(1)</script>", family_name="=HYPERLINK()")
    assert (patient["given_name"], patient["family_name"]) == ("<script>alert(1)</script>", "=HYPERLINK()")


async def test_the_same_registration_repeated_is_one_patient(intake: Intake, clinic: Caller) -> None:
    key = str(uuid4())
    first = await clinic.post("/intake/v1/patients", patient_body(), Idempotency_Key=key)
    again = await clinic.post("/intake/v1/patients", patient_body(), Idempotency_Key=key)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert clinic.clinic_id is not None
    assert await intake.count("patient", clinic.clinic_id) == 1


async def test_patients_registered_at_the_same_moment_get_numbers_of_their_own(clinic: Caller) -> None:
    registered = await asyncio.gather(*(registered_patient(clinic) for _ in range(6)))
    assert sorted(one["patient_number"] for one in registered) == [f"P-{number:06d}" for number in range(1, 7)]


async def test_the_list_pages_by_number(clinic: Caller) -> None:
    numbers = [(await registered_patient(clinic))["patient_number"] for _ in range(3)]
    first = (await clinic.get("/intake/v1/patients?limit=2")).json()
    second = (await clinic.get(first["next"])).json()
    assert [one["patient_number"] for one in first["items"] + second["items"]] == numbers
    assert second["next"] is None


# Changes


async def test_a_change_needs_the_version_that_was_seen(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    assert_refused(await clinic.patch(path, {"language": "es"}, None), 428, "if-match-required")
    changed = await clinic.patch(path, {"language": "es"}, 1)
    assert (changed.json()["language"], changed.headers["ETag"]) == ("es", 'W/"2"')
    assert_refused(await clinic.patch(path, {"language": "fr"}, 1), 412, "version-stale")


async def test_a_change_touches_only_what_was_sent(clinic: Caller) -> None:
    patient = await registered_patient(clinic, preferred_name="Mari")
    changed = await clinic.patch(f"/intake/v1/patients/{patient['patient_id']}", {"time_zone": "America/Denver"}, 1)
    assert changed.json() == {**patient, "time_zone": "America/Denver", "version": 2}


async def test_null_clears_what_may_be_empty_and_nothing_else(clinic: Caller) -> None:
    patient = await registered_patient(clinic, preferred_name="Mari")
    path = f"/intake/v1/patients/{patient['patient_id']}"
    cleared = await clinic.patch(path, {"preferred_name": None, "phone": None}, 1)
    assert (cleared.json()["preferred_name"], cleared.json()["phone"]) == (None, None)
    assert_refused(await clinic.patch(path, {"time_zone": None}, 2), 422, "type", "/time_zone")
    assert_refused(await clinic.patch(path, {"given_name": None, "family_name": None}, 2), 422, "required", "/family_name")
    assert_refused(await clinic.patch(path, {"email": None}, 2), 422, "required", "/email")


async def test_a_change_is_refused_as_a_registration_would_be(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    assert_refused(await clinic.patch(path, {"birth_date": "2027-01-01"}, 1), 422, "birth-date-in-future", "/birth_date")
    assert_refused(await clinic.patch(path, {"birth_date": "2015-01-01"}, 1), 409, "under-minimum-age")
    assert (await clinic.get(path)).json() == patient


# Death, withdrawal, messages


async def test_after_a_death_the_chart_is_read_only(intake: Intake, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    died = await clinic.post(f"{path}/death", {"died_on": "2026-11-22"})
    assert (died.status_code, died.json()["status"], died.json()["died_on"]) == (200, "deceased", "2026-11-22")
    assert died.json()["status_changed_by"] == f"Practitioner/{clinic.acting}"
    for refused in (
        await clinic.post(f"{path}/death"),
        await clinic.post(f"{path}/withdrawal", {"requested_by": "patient"}),
        await clinic.post(f"{path}/message-opt-out", {"requested_by": "patient"}),
        await clinic.patch(path, {"language": "es"}, 2),
    ):
        assert_refused(refused, 409, "patient-deceased")
        assert (refused.json()["state"], refused.json()["allowed"]) == ("deceased", ["death/entered-in-error"])
    assert [kind for kind, _ in await intake.events(of=patient["patient_id"])] == ["patient.changed", "patient.deceased", "patient.changed"]


async def test_of_two_deaths_recorded_at_the_same_moment_one_is_a_conflict(intake: Intake, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}/death"
    answers = await asyncio.gather(clinic.post(path), clinic.post(path))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    kinds = [kind for kind, _ in await intake.events(of=patient["patient_id"])]
    assert kinds.count("patient.deceased") == 1


@pytest.mark.parametrize("died_on", ["2026-11-24", "1988-04-16"])
async def test_nobody_dies_in_the_future_or_before_birth(clinic: Caller, died_on: str) -> None:
    patient = await registered_patient(clinic)
    answer = await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/death", {"died_on": died_on})
    assert_refused(answer, 422, "time-out-of-range", "/died_on")
    assert (await clinic.get(f"/intake/v1/patients/{patient['patient_id']}")).json()["status"] == "active"


async def test_a_withdrawn_patient_cannot_withdraw_again_and_is_told_what_is_possible(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    withdrawn = await clinic.post(f"{path}/withdrawal", {"requested_by": "patient", "reason": "Moves away."})
    assert withdrawn.json()["status"] == "withdrawn"
    again = await clinic.post(f"{path}/withdrawal", {"requested_by": "patient"})
    assert_refused(again, 409, "patient-withdrawn")
    assert again.json()["allowed"] == ["death", "withdrawal/entered-in-error", "message-opt-out"]


# A death or a withdrawal by mistake


MISTAKE = {"reason": "Entered for the wrong patient."}


async def as_(clinic: Caller, role: str) -> UUID:
    return UUID((await practitioner(clinic, role))["practitioner_id"])


@pytest.mark.parametrize("role", ["prescriber", "mental-health-reviewer", "on-call-clinician", "medical-director"])
async def test_a_clinician_takes_a_death_back_and_the_chart_can_be_written_again(intake: Intake, clinic: Caller, role: str) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    await clinic.post(f"{path}/death", {"died_on": "2026-11-20"})
    alive = await clinic.post(f"{path}/death/entered-in-error", MISTAKE, acting=await as_(clinic, role), If_Match='W/"2"')
    assert (alive.status_code, alive.json()["status"], alive.json()["died_on"], alive.json()["version"]) == (200, "active", None, 3)
    assert (await clinic.patch(path, {"language": "es"}, 3)).status_code == 200
    await signed_consent(clinic, patient)
    told = [data for kind, data in await intake.events(of=patient["patient_id"]) if kind == "patient.changed"]
    assert [(one["status"], one["messages_allowed"], one["death_corrected"]) for one in told] == [
        ("active", True, None),
        ("deceased", False, None),
        ("active", True, 3),
        ("active", True, 3),
    ]
    assert told[-1]["active"] == [{"since": "1900-01-01T00:00:00Z", "until": None}]


async def test_a_clinician_takes_a_withdrawal_back(intake: Intake, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    await clinic.post(f"{path}/withdrawal", {"requested_by": "patient"})
    back = await clinic.post(f"{path}/withdrawal/entered-in-error", MISTAKE, If_Match='W/"2"')
    assert (back.status_code, back.json()["status"]) == (200, "active")
    last = (await intake.events(of=patient["patient_id"]))[-1][1]
    assert (last["status"], last["messages_allowed"], last["active"][0]["until"]) == ("active", True, None)
    assert (await clinic.post(f"{path}/withdrawal", {"requested_by": "patient"})).status_code == 200


async def test_who_had_left_before_a_death_that_never_was_has_left_still(intake: Intake, clinic: Caller, clock: FrozenClock) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    await clinic.post(f"{path}/withdrawal", {"requested_by": "patient"})
    clock.advance(timedelta(days=1))
    await clinic.post(f"{path}/death")
    back = await clinic.post(f"{path}/death/entered-in-error", MISTAKE, If_Match='W/"3"')
    assert back.json()["status"] == "withdrawn"
    assert (await intake.events(of=patient["patient_id"]))[-1][1]["active"][0]["until"] == "2026-11-23T14:00:00Z"


LEAVES = "UPDATE patient SET status = 'withdrawn', status_changed_at = :now, version = version + 1 WHERE patient_id = :id"
DIES = "UPDATE patient SET status = 'deceased', status_changed_at = :now, version = version + 1 WHERE patient_id = :id"
NOTED = """
    INSERT INTO patient_change (clinic_id, patient_change_id, patient_id, change, changed_at, changed_by, requested_by)
    VALUES (CAST(:clinic_id AS uuid), gen_random_uuid(), CAST(:id AS uuid), 'withdrawal', :now, 'Test', 'patient')
"""


@pytest.mark.parametrize("death", ["ours", "theirs", "theirs, told again"])
async def test_so_has_who_left_by_the_release_before(
    intake: Intake, clinic: Caller, clock: FrozenClock, retelling: Retelling, death: str
) -> None:
    patient_id = (await registered_patient(clinic))["patient_id"]
    path = f"/intake/v1/patients/{patient_id}"
    await intake.by_release_before(clinic, LEAVES, NOTED, id=patient_id, clinic_id=clinic.clinic_id)
    clock.advance(timedelta(days=1))
    if death == "ours":
        await clinic.post(f"{path}/death")
    else:
        await intake.by_release_before(clinic, DIES, id=patient_id)
    if death == "theirs, told again":
        await retelling.tell_all()
    told = (await intake.events(of=patient_id))[-1][1]
    assert death == "theirs" or told["active"][0]["until"] == "2026-11-23T14:00:00Z"
    version = (await clinic.get(path)).json()["version"]
    back = await clinic.post(f"{path}/death/entered-in-error", MISTAKE, If_Match=f'W/"{version}"')
    assert back.json()["status"] == "withdrawn"
    assert (await intake.events(of=patient_id))[-1][1]["active"][0]["until"] == "2026-11-23T14:00:00Z"


async def test_who_came_back_before_a_death_that_never_was_is_active(intake: Intake, clinic: Caller, clock: FrozenClock) -> None:
    patient_id = (await registered_patient(clinic))["patient_id"]
    path = f"/intake/v1/patients/{patient_id}"
    await clinic.post(f"{path}/withdrawal", {"requested_by": "patient"})
    clock.advance(timedelta(days=1))
    await clinic.post(f"{path}/withdrawal/entered-in-error", MISTAKE, If_Match='W/"2"')
    await clinic.post(f"{path}/death")
    back = await clinic.post(f"{path}/death/entered-in-error", MISTAKE, If_Match='W/"4"')
    assert back.json()["status"] == "active"


@pytest.mark.parametrize(("what", "first"), [("death", {}), ("withdrawal", {"requested_by": "patient"})])
async def test_taking_back_is_refused_without_version_reason_role_or_anything_to_take_back(
    intake: Intake, clinic: Caller, other_clinic: Caller, what: str, first: Json
) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}/{what}"
    wrong = f"{path}/entered-in-error"
    assert_refused(await clinic.post(wrong, MISTAKE, If_Match='W/"1"'), 409, "state")
    await clinic.post(path, first)
    assert_refused(await clinic.post(wrong, MISTAKE), 428, "if-match-required")
    assert_refused(await clinic.post(wrong, MISTAKE, If_Match='W/"1"'), 412, "version-stale")
    assert_refused(await clinic.post(wrong, {}, If_Match='W/"2"'), 422, "required", "/reason")
    assert_refused(await clinic.post(wrong, {"reason": ""}, If_Match='W/"2"'), 422, "too-short", "/reason")
    assert_refused(await clinic.post(wrong, MISTAKE, acting=await as_(clinic, "coordinator"), If_Match='W/"2"'), 403, "role-missing")
    assert (await other_clinic.post(wrong, MISTAKE, If_Match='W/"2"')).status_code == 404
    assert (await clinic.get(f"/intake/v1/patients/{patient['patient_id']}")).json()["version"] == 2
    assert (await clinic.post(wrong, MISTAKE, If_Match='W/"2"')).status_code == 200
    assert_refused(await clinic.post(wrong, MISTAKE, If_Match='W/"3"'), 409, "state")
    kinds = [data["patient_version"] for kind, data in await intake.events(of=patient["patient_id"]) if kind == "patient.changed"]
    assert kinds == [1, 2, 3]


async def test_of_two_corrections_at_once_one_finds_the_version_stale(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}/death"
    await clinic.post(path)
    answers = await asyncio.gather(*(clinic.post(f"{path}/entered-in-error", MISTAKE, If_Match='W/"2"') for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 412]


async def test_what_was_recorded_and_taken_back_is_kept_with_its_reason(intake: Intake, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}/death"
    await clinic.post(path, {"died_on": "2026-11-20"})
    await clinic.post(f"{path}/entered-in-error", MISTAKE, If_Match='W/"2"')
    async with intake.service.database.transaction(clinic.clinic_id) as db:
        kept = await db.execute(text("SELECT change, died_on, reason, changed_by FROM patient_change ORDER BY reason NULLS FIRST"))
        rows = [tuple(row) for row in kept]
    by = f"Practitioner/{clinic.acting}"
    assert rows == [("death", date(2026, 11, 20), None, by), ("death/entered-in-error", None, MISTAKE["reason"], by)]


async def test_an_opt_out_is_taken_back_by_the_patients_side_only(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    assert_refused(await clinic.post(f"{path}/message-opt-in", {"requested_by": "patient"}), 409, "state")
    assert (await clinic.post(f"{path}/message-opt-out", {"requested_by": "clinic"})).json()["opted_out"] is True
    assert_refused(await clinic.post(f"{path}/message-opt-out", {"requested_by": "clinic"}), 409, "state")
    assert_refused(await clinic.post(f"{path}/message-opt-in", {"requested_by": "clinic"}), 422, "not-one-of", "/requested_by")
    assert (await clinic.post(f"{path}/message-opt-in", {"requested_by": "patient"})).json()["opted_out"] is False


async def test_every_change_of_standing_is_kept_with_time_actor_and_reason(intake: Intake, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    await clinic.post(f"{path}/message-opt-out", {"requested_by": "patient", "reason": "A new phone."})
    await clinic.post(f"{path}/withdrawal", {"requested_by": "legal-representative"})
    kept = await changes_of(intake, clinic)
    by = f"Practitioner/{clinic.acting}"
    assert kept == [("message-opt-out", by, "patient", "A new phone."), ("withdrawal", by, "legal-representative", None)]


async def changes_of(intake: Intake, clinic: Caller) -> list[tuple[Any, ...]]:
    statement = text("SELECT change, changed_by, requested_by, reason FROM patient_change ORDER BY change")
    async with intake.service.database.transaction(clinic.clinic_id) as db:
        return [tuple(row) for row in await db.execute(statement)]
