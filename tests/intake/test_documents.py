"""The policy of intake as a clinic's own document: two clinics on one installation, each judged by its numbers."""

from datetime import timedelta
from uuid import UUID

from services.intake.policy import INTAKE_POLICY
from shared.clock import FrozenClock
from tests.intake.conftest import Caller, assert_refused, patient_body, practitioner, registered_patient, signed_consent

OWN = INTAKE_POLICY.default_text.replace("code: intake-policy\nversion: 1\n", "")
OLDER = OWN.replace("years: 18", "years: 25")
SHORTER = OWN.replace("treatment:\n    months: 12", "treatment:\n    months: 3")


async def own(clinic: Caller, content: str, **sign_off: object) -> int:
    """A version of the clinic's own, written by its prescriber and signed by its director."""
    director = UUID((await practitioner(clinic, "medical-director"))["practitioner_id"])
    written = await clinic.post("/intake/v1/documents", {"code": "intake-policy", "content": content})
    assert written.status_code == 201, written.text
    version = int(written.json()["version"])
    signed = await clinic.post(f"/intake/v1/documents/intake-policy/versions/{version}/sign-off", dict(sign_off), acting=director)
    assert signed.is_success, signed.text
    return version


async def test_two_clinics_take_patients_from_the_age_that_each_has_settled(clinic: Caller, other_clinic: Caller) -> None:
    await own(clinic, OLDER)
    of_twenty = patient_body(birth_date="2006-01-01")
    refused = await clinic.post("/intake/v1/patients", of_twenty)
    assert_refused(refused, 409, "under-minimum-age")
    assert refused.json()["minimum_age_years"] == 25
    await registered_patient(other_clinic, birth_date="2006-01-01")


async def test_a_consent_keeps_the_end_that_it_was_given_when_another_policy_comes(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    before = await signed_consent(clinic, patient, "treatment")
    await own(clinic, SHORTER)
    after = await signed_consent(clinic, patient, "treatment")
    kept = (await clinic.get(f"/intake/v1/consents/{before['consent_id']}")).json()
    assert (kept["valid_until"], after["valid_until"]) == ("2027-11-21T04:59:59.999999Z", "2027-02-21T04:59:59.999999Z")


async def test_a_policy_from_tomorrow_counts_from_tomorrow(clinic: Caller, clock: FrozenClock) -> None:
    tomorrow = clock.now() + timedelta(days=1)
    await own(clinic, OLDER, active_from=tomorrow.isoformat())
    await registered_patient(clinic, birth_date="2006-01-01")
    clock.set(tomorrow)
    assert_refused(await clinic.post("/intake/v1/patients", patient_body(birth_date="2006-01-01")), 409, "under-minimum-age")


async def test_a_policy_that_names_a_protocol_that_does_not_exist_is_refused(clinic: Caller) -> None:
    wrong = OWN.replace("default: [1]", "default: [1, 7]")
    refused = await clinic.post("/intake/v1/documents", {"code": "intake-policy", "content": wrong})
    assert_refused(refused, 422, "document-invalid", "/content")
    assert [error["code"] for error in refused.json()["errors"]] == ["protocol-unknown"]
