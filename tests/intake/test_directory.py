import hashlib
import hmac
from datetime import UTC, datetime
from itertools import product
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.intake.directory.rules import Refusal, Standing, refusal
from shared.clock import FrozenClock
from tests.intake.conftest import Caller, Intake, Json, assert_refused, registered_patient, signed_consent


async def contact(followup: Caller, clinic: Caller, patient: Json) -> Json:
    return await asked(followup, clinic, patient, "contact")


async def asked(followup: Caller, clinic: Caller, patient: Json, what: str) -> Json:
    answer = await followup.post(
        f"/intake/v1/directory/{what}", {"patient_id": patient["patient_id"]}, Afterglow_Clinic=str(clinic.clinic_id)
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


# Rules


@pytest.mark.parametrize(
    ("standing", "why"),
    [
        (Standing("deceased", False, True, "revoked", None), Refusal.DECEASED),
        (Standing("withdrawn", False, True, "revoked", None), Refusal.WITHDRAWN),
        (Standing("active", False, True, "revoked", None), Refusal.CLINIC_INACTIVE),
        (Standing("active", True, True, "active", "a@example.org"), Refusal.OPTED_OUT),
        (Standing("active", True, False, None, "a@example.org"), Refusal.CONSENT_MISSING),
        (Standing("active", True, False, "revoked", "a@example.org"), Refusal.CONSENT_REVOKED),
        (Standing("active", True, False, "expired", "a@example.org"), Refusal.CONSENT_EXPIRED),
        (Standing("active", True, False, "active", None), Refusal.NO_CHANNEL),
        (Standing("active", True, False, "active", "a@example.org"), None),
    ],
)
def test_the_gravest_reason_not_to_send_is_named(standing: Standing, why: Refusal | None) -> None:
    assert refusal(standing) is why


# At the edge


async def test_contact_holds_what_a_message_needs_and_the_birth_date_only_as_a_salted_hash(followup: Caller, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    await signed_consent(clinic, patient)
    first = await contact(followup, clinic, patient)
    assert (first["may_send"], first["reason"]) == (True, None)
    assert (first["channel"], first["address"], first["language"]) == ("email", "marisol@example.org", "en")
    assert (first["clinic_name"], first["sender_name"], first["clinic_phone"]) == ("Harbor Clinic", "Harbor Appointments", "+12125550100")
    assert "988" in first["crisis_line"]
    assert (first["time_zone"], first["clinic_active"]) == ("America/New_York", True)
    expected = hmac.new(bytes.fromhex(first["birth_date_salt"]), b"1988-04-17", hashlib.sha256).hexdigest()
    assert first["birth_date_hash"] == expected
    assert (await contact(followup, clinic, patient))["birth_date_salt"] != first["birth_date_salt"]
    assert "1988" not in str(first)


async def test_a_text_message_goes_to_the_phone(followup: Caller, clinic: Caller) -> None:
    patient = await registered_patient(clinic, preferred_channel="sms")
    await signed_consent(clinic, patient)
    assert (await contact(followup, clinic, patient))["address"] == "+12125550123"


@pytest.mark.parametrize(
    ("step", "body", "reason"),
    [
        ("death", {}, "deceased"),
        ("withdrawal", {"requested_by": "patient"}, "withdrawn"),
        ("message-opt-out", {"requested_by": "patient"}, "opted-out"),
    ],
)
async def test_from_the_moment_of_the_commit_nothing_may_be_sent(
    followup: Caller, clinic: Caller, step: str, body: Json, reason: str
) -> None:
    patient = await registered_patient(clinic)
    await signed_consent(clinic, patient)
    assert (await contact(followup, clinic, patient))["may_send"] is True
    assert (await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/{step}", body)).status_code == 200
    refused = await contact(followup, clinic, patient)
    assert (refused["may_send"], refused["reason"]) == (False, reason)
    assert {refused[name] for name in ("address", "channel", "birth_date_hash", "birth_date_salt", "language", "time_zone")} == {None}


async def test_an_opt_in_allows_messages_again(followup: Caller, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    await signed_consent(clinic, patient)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    await clinic.post(f"{path}/message-opt-out", {"requested_by": "patient"})
    await clinic.post(f"{path}/message-opt-in", {"requested_by": "patient"})
    assert (await contact(followup, clinic, patient))["may_send"] is True


async def test_messages_need_a_messaging_consent_that_is_valid_now(followup: Caller, clinic: Caller, clock: FrozenClock) -> None:
    patient = await registered_patient(clinic)
    await signed_consent(clinic, patient, "treatment")
    assert (await contact(followup, clinic, patient))["reason"] == "consent-missing"
    consent = await signed_consent(clinic, patient, "messaging")
    assert (await contact(followup, clinic, patient))["may_send"] is True
    clock.set(datetime(2027, 11, 21, 5, 0, tzinfo=UTC))
    assert (await contact(followup, clinic, patient))["reason"] == "consent-expired"
    await clinic.post(f"/intake/v1/consents/{consent['consent_id']}/revoke", {"requested_by": "patient"})
    assert (await contact(followup, clinic, patient))["reason"] == "consent-revoked"


async def test_a_revocation_by_a_replica_of_the_release_before_forbids_messages_at_once(
    intake: Intake, followup: Caller, clinic: Caller
) -> None:
    patient = await registered_patient(clinic)
    consent = await signed_consent(clinic, patient)
    await signed_consent(clinic, patient)
    revoked = "UPDATE consent SET revoked_at = :now, version = 2 WHERE consent_id = :id"
    await intake.by_release_before(clinic, revoked, id=consent["consent_id"])
    assert (await contact(followup, clinic, patient))["reason"] == "consent-revoked"


async def test_a_patient_of_staff_calls_gets_no_message(followup: Caller, clinic: Caller) -> None:
    patient = await registered_patient(clinic, preferred_channel="phone-staff")
    await signed_consent(clinic, patient)
    assert (await contact(followup, clinic, patient))["reason"] == "no-channel"


async def test_names_are_given_for_the_clinics_own_patients_and_nobody_else(followup: Caller, clinic: Caller, other_clinic: Caller) -> None:
    own = await registered_patient(clinic, preferred_name="Mari")
    foreign = await registered_patient(other_clinic)
    ids = [own["patient_id"], foreign["patient_id"], str(uuid4())]
    answer = await followup.post("/intake/v1/directory/names", {"patient_ids": ids}, Afterglow_Clinic=str(clinic.clinic_id))
    assert answer.json() == {"names": {own["patient_id"]: "Mari Quarterstaff"}}


@pytest.mark.parametrize("count", [0, 201])
async def test_names_are_asked_for_up_to_two_hundred_at_a_time(followup: Caller, clinic: Caller, count: int) -> None:
    body = {"patient_ids": [str(uuid4()) for _ in range(count)]}
    answer = await followup.post("/intake/v1/directory/names", body, Afterglow_Clinic=str(clinic.clinic_id))
    assert answer.status_code == 422


async def test_another_clinics_patient_has_no_contact_and_no_page_here(followup: Caller, clinic: Caller, other_clinic: Caller) -> None:
    foreign = await registered_patient(other_clinic)
    for patient_id, what in product((foreign["patient_id"], str(uuid4())), ("contact", "page-facts")):
        answer = await followup.post(f"/intake/v1/directory/{what}", {"patient_id": patient_id}, Afterglow_Clinic=str(clinic.clinic_id))
        assert_refused(answer, 422, "reference-not-found", "/patient_id")


async def test_clinic_systems_cannot_ask_the_directory(clinic: Caller) -> None:
    answer = await clinic.post("/intake/v1/directory/names", {"patient_ids": [str(uuid4())]})
    assert_refused(answer, 403, "caller-kind")


async def page_facts(followup: Caller, clinic: Caller, patient: Json) -> Json:
    return await asked(followup, clinic, patient, "page-facts")


def is_birth_date(facts: Json, birth_date: str) -> bool:
    expected = hmac.new(bytes.fromhex(facts["birth_date_salt"]), birth_date.encode(), hashlib.sha256).hexdigest()
    return bool(facts["birth_date_hash"] == expected)


async def test_a_page_learns_what_is_so_at_this_moment(followup: Caller, clinic: Caller, operator: Caller) -> None:
    patient = await registered_patient(clinic)
    before = await page_facts(followup, clinic, patient)
    assert is_birth_date(before, "1988-04-17")
    assert (before["sender_name"], before["clinic_phone"], before["clinic_active"]) == ("Harbor Appointments", "+12125550100", True)
    numbers = {"phone": "+13125550142", "crisis_line": "+13125550199", "sender_name": "Harbor Care"}
    assert (await operator.patch(f"/intake/v1/clinics/{clinic.clinic_id}", numbers, 1)).status_code == 200
    corrected = {"birth_date": "1988-07-14", "time_zone": "Asia/Tokyo", "language": "es"}
    assert (await clinic.patch(f"/intake/v1/patients/{patient['patient_id']}", corrected, 1)).status_code == 200
    after = await page_facts(followup, clinic, patient)
    assert (is_birth_date(after, "1988-07-14"), is_birth_date(after, "1988-04-17")) == (True, False)
    assert (after["language"], after["time_zone"]) == ("es", "Asia/Tokyo")
    assert (after["sender_name"], after["clinic_phone"], after["crisis_line"]) == ("Harbor Care", "+13125550142", "+13125550199")
    assert "1988" not in str(after)


@pytest.mark.parametrize("step", ["death", "withdrawal"])
async def test_a_page_that_is_still_open_has_its_numbers_whatever_became_of_the_patient(
    followup: Caller, clinic: Caller, step: str
) -> None:
    patient = await registered_patient(clinic)
    body = {} if step == "death" else {"requested_by": "patient"}
    assert (await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/{step}", body)).status_code == 200
    assert (await page_facts(followup, clinic, patient))["clinic_phone"] == "+12125550100"


async def test_an_inactive_clinic_sends_nothing_and_its_pages_learn_of_it(followup: Caller, clinic: Caller, operator: Caller) -> None:
    patient = await registered_patient(clinic)
    await signed_consent(clinic, patient)
    path = f"/intake/v1/clinics/{clinic.clinic_id}"
    assert (await operator.patch(path, {"active": False}, 1)).status_code == 200
    refused = await contact(followup, clinic, patient)
    assert (refused["may_send"], refused["reason"], refused["clinic_active"], refused["address"]) == (False, "clinic-inactive", False, None)
    assert (await page_facts(followup, clinic, patient))["clinic_active"] is False
    assert (await operator.patch(path, {"active": True}, 2)).status_code == 200
    assert (await contact(followup, clinic, patient))["may_send"] is True


async def test_every_page_that_asked_is_in_the_trail_under_its_patient(intake: Intake, followup: Caller, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    await page_facts(followup, clinic, patient)
    async with intake.service.database.transaction(clinic.clinic_id) as db:
        trail = text("SELECT client_id, patient_id, phi FROM audit_event WHERE operation = 'page_facts'")
        assert [tuple(row) for row in await db.execute(trail)] == [(followup.client_id, UUID(patient["patient_id"]), "read")]
