from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.intake.consents.rules import ConsentStatus, standing, status_of, valid_until
from shared.clock import FrozenClock
from tests.intake.conftest import Caller, Intake, assert_refused, registered_patient, signed_consent

NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class Signed:
    signed_at: datetime
    valid_until: datetime
    revoked_at: datetime | None = None


# Rules


@pytest.mark.parametrize(
    ("signed_at", "last_moment"),
    [
        ("2026-03-10T12:00:00-04:00", "2027-03-10T23:59:59.999999-05:00"),
        ("2026-03-10T03:30:00Z", "2027-03-09T23:59:59.999999-05:00"),
        ("2028-02-29T12:00:00-05:00", "2029-02-28T23:59:59.999999-05:00"),
        ("2026-12-31T23:59:00-05:00", "2027-12-31T23:59:59.999999-05:00"),
    ],
)
def test_a_consent_is_valid_for_twelve_months_to_the_end_of_the_last_local_day(signed_at: str, last_moment: str) -> None:
    assert valid_until(at(signed_at), 12, NEW_YORK) == at(last_moment)


def test_the_last_day_of_a_consent_ends_at_midnight_even_where_the_clocks_change_at_midnight() -> None:
    # Havana: clocks go forward at 00:00 on 8 March 2026, so 7 March is followed at once by 01:00.
    until = valid_until(at("2025-03-07T12:00:00-05:00"), 12, ZoneInfo("America/Havana"))
    assert until + timedelta(microseconds=1) == at("2026-03-08T05:00:00Z")


def test_the_last_moment_is_inside_and_the_next_one_is_not() -> None:
    until = at("2027-03-10T23:59:59.999999Z")
    consent = Signed(at("2026-03-10T12:00:00Z"), until)
    assert status_of(consent, until) is ConsentStatus.ACTIVE
    assert status_of(consent, until + timedelta(microseconds=1)) is ConsentStatus.EXPIRED


def test_a_revocation_does_not_bring_an_older_signature_back_to_life() -> None:
    now = at("2026-11-23T12:00:00Z")
    old = Signed(at("2026-01-10T12:00:00Z"), at("2027-01-10T12:00:00Z"))
    revoked = Signed(at("2026-06-10T12:00:00Z"), at("2027-06-10T12:00:00Z"), at("2026-07-01T12:00:00Z"))
    assert standing([old, revoked], now) is ConsentStatus.REVOKED
    renewed = Signed(at("2026-08-01T12:00:00Z"), at("2027-08-01T12:00:00Z"))
    assert standing([old, revoked, renewed], now) is ConsentStatus.ACTIVE


def test_one_valid_signature_is_enough_and_none_is_none() -> None:
    now = at("2026-11-23T12:00:00Z")
    expired = Signed(at("2025-01-10T12:00:00Z"), at("2026-01-10T12:00:00Z"))
    valid = Signed(at("2026-01-10T12:00:00Z"), at("2027-01-10T12:00:00Z"))
    assert standing([], now) is None
    assert standing([expired], now) is ConsentStatus.EXPIRED
    assert standing([expired, valid], now) is ConsentStatus.ACTIVE


# At the edge


async def test_a_signed_consent_can_be_read_back_and_names_its_last_moment(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    consent = await signed_consent(clinic, patient, "treatment")
    assert (consent["status"], consent["signed_at"]) == ("active", "2026-11-20T15:00:00Z")
    assert consent["valid_until"] == "2027-11-21T04:59:59.999999Z"
    assert (await clinic.get(f"/intake/v1/consents/{consent['consent_id']}")).json() == consent
    listed = (await clinic.get(f"/intake/v1/patients/{patient['patient_id']}/consents")).json()
    assert listed == {"items": [consent], "next": None}


@pytest.mark.parametrize("signed_at", ["2026-11-23T14:05:01Z", "2025-11-22T23:59:59-05:00"])
async def test_a_signature_from_the_future_or_one_that_has_expired_is_refused(clinic: Caller, signed_at: str) -> None:
    patient = await registered_patient(clinic)
    body = {"consent_type": "treatment", "consent_version": "1", "signed_at": signed_at}
    answer = await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/consents", body)
    assert_refused(answer, 422, "time-out-of-range", "/signed_at")


async def test_a_signature_of_the_last_valid_day_and_one_within_the_clock_skew_are_taken(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    await signed_consent(clinic, patient, signed_at="2025-11-23T00:00:00-05:00")
    await signed_consent(clinic, patient, signed_at="2026-11-23T14:05:00Z")


@pytest.mark.parametrize("signed_at", ["2026-11-20", "2026-11-20T10:00:00", 1_795_403_870, "2026-02-30T10:00:00Z", "2026-11-20T10:00:60Z"])
async def test_a_time_without_an_offset_or_that_is_none_is_refused(clinic: Caller, signed_at: object) -> None:
    patient = await registered_patient(clinic)
    body = {"consent_type": "treatment", "consent_version": "1", "signed_at": signed_at}
    answer = await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/consents", body)
    assert_refused(answer, 422, "time-format", "/signed_at")


async def test_revoking_twice_is_a_conflict_that_names_the_state(clinic: Caller) -> None:
    consent = await signed_consent(clinic, await registered_patient(clinic))
    path = f"/intake/v1/consents/{consent['consent_id']}/revoke"
    revoked = (await clinic.post(path, {"requested_by": "patient"})).json()
    assert (revoked["status"], revoked["revoked_at"]) == ("revoked", "2026-11-23T14:00:00Z")
    assert revoked["revoked_by"] == f"Practitioner/{clinic.acting}"
    again = await clinic.post(path, {"requested_by": "patient"})
    assert_refused(again, 409, "state")
    assert (again.json()["state"], again.json()["allowed"]) == ("revoked", [])


async def test_an_expired_consent_can_still_be_revoked(clinic: Caller, clock: FrozenClock) -> None:
    consent = await signed_consent(clinic, await registered_patient(clinic))
    clock.set(datetime(2027, 11, 22, tzinfo=UTC))
    assert (await clinic.get(f"/intake/v1/consents/{consent['consent_id']}")).json()["status"] == "expired"
    revoked = await clinic.post(f"/intake/v1/consents/{consent['consent_id']}/revoke", {"requested_by": "patient"})
    assert revoked.json()["status"] == "revoked"


async def test_nobody_signs_for_a_patient_who_has_died(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/death")
    body = {"consent_type": "treatment", "consent_version": "1", "signed_at": "2026-11-20T10:00:00Z"}
    answer = await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/consents", body)
    assert_refused(answer, 409, "patient-deceased")


async def test_signing_and_revoking_are_told_to_the_others(intake: Intake, clinic: Caller) -> None:
    consent = await signed_consent(clinic, await registered_patient(clinic))
    await clinic.post(f"/intake/v1/consents/{consent['consent_id']}/revoke", {"requested_by": "patient"})
    (signed_kind, signed), (revoked_kind, revoked) = await intake.events(of=consent["consent_id"])
    assert (signed_kind, revoked_kind) == ("consent.signed", "consent.revoked")
    assert (signed["consent_type"], signed["valid_until"]) == ("messaging", consent["valid_until"])
    assert revoked["patient_id"] == consent["patient_id"]
