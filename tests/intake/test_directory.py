import hashlib
import hmac
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.intake.directory.rules import Refusal, Standing, refusal
from shared.clock import FrozenClock
from tests.intake.conftest import Caller, Json, assert_refused, registered_patient, signed_consent


async def contact(followup: Caller, clinic: Caller, patient: Json) -> Json:
    answer = await followup.post(
        "/intake/v1/directory/contact", {"patient_id": patient["patient_id"]}, Afterglow_Clinic=str(clinic.clinic_id)
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


# Rules


@pytest.mark.parametrize(
    ("standing", "why"),
    [
        (Standing("deceased", True, "revoked", None), Refusal.DECEASED),
        (Standing("withdrawn", True, "revoked", None), Refusal.WITHDRAWN),
        (Standing("active", True, "active", "a@example.org"), Refusal.OPTED_OUT),
        (Standing("active", False, None, "a@example.org"), Refusal.CONSENT_MISSING),
        (Standing("active", False, "revoked", "a@example.org"), Refusal.CONSENT_REVOKED),
        (Standing("active", False, "expired", "a@example.org"), Refusal.CONSENT_EXPIRED),
        (Standing("active", False, "active", None), Refusal.NO_CHANNEL),
        (Standing("active", False, "active", "a@example.org"), None),
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
    assert {refused[name] for name in ("address", "channel", "birth_date_hash", "birth_date_salt", "language")} == {None}


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


async def test_another_clinics_patient_has_no_contact_here(followup: Caller, clinic: Caller, other_clinic: Caller) -> None:
    foreign = await registered_patient(other_clinic)
    for patient_id in (foreign["patient_id"], str(uuid4())):
        answer = await followup.post("/intake/v1/directory/contact", {"patient_id": patient_id}, Afterglow_Clinic=str(clinic.clinic_id))
        assert_refused(answer, 422, "reference-not-found", "/patient_id")


async def test_clinic_systems_cannot_ask_the_directory(clinic: Caller) -> None:
    answer = await clinic.post("/intake/v1/directory/names", {"patient_ids": [str(uuid4())]})
    assert_refused(answer, 403, "caller-kind")
