import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from services.intake.consents.rules import ConsentStatus, Standing, standing, status_of, valid_until
from services.intake.retelling import Retelling
from shared.clock import FrozenClock
from shared.events.intake import Span
from tests.intake.conftest import Caller, Intake, Json, assert_refused, registered_patient, signed_consent

NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class Signed:
    signed_at: datetime
    valid_until: datetime
    revoked_at: datetime | None = None
    recorded_at: datetime = datetime(2026, 11, 23, 12, tzinfo=UTC)


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
    assert status_of(consent, [consent], until) is ConsentStatus.ACTIVE
    assert status_of(consent, [consent], until + timedelta(microseconds=1)) is ConsentStatus.EXPIRED


NOW = at("2026-11-23T12:00:00Z")
OLD = Signed(at("2026-01-10T12:00:00Z"), at("2027-01-10T12:00:00Z"))


def together(*consents: Signed) -> Standing:
    decided = standing(consents, NOW)
    assert decided is not None
    return decided


@pytest.mark.parametrize("first", [True, False], ids=["the older one revoked", "the newer one revoked"])
def test_a_revocation_takes_back_everything_signed_up_to_then_whatever_version(first: bool) -> None:
    newer = Signed(at("2026-06-10T12:00:00Z"), at("2027-06-10T12:00:00Z"))
    revoked_at = at("2026-07-01T12:00:00Z")
    both = [replace(OLD, revoked_at=revoked_at), newer] if first else [OLD, replace(newer, revoked_at=revoked_at)]
    assert [status_of(one, both, NOW) for one in both] == [ConsentStatus.REVOKED] * 2
    assert together(*both) == Standing(ConsentStatus.REVOKED, revoked_at, None, [Span(since=OLD.signed_at, until=revoked_at)])


@pytest.mark.parametrize(
    ("signed", "stands"),
    [("2026-07-01T08:00:00Z", False), ("2026-07-01T12:00:00Z", False), ("2026-07-01T12:00:00.000001Z", True)],
)
def test_a_signature_dated_at_or_before_a_revocation_never_stands_whenever_it_is_entered(signed: str, stands: bool) -> None:
    revoked = replace(OLD, revoked_at=at("2026-07-01T12:00:00Z"))
    entered_after = Signed(at(signed), at("2027-07-01T12:00:00Z"), recorded_at=at("2026-11-20T12:00:00Z"))
    assert (status_of(entered_after, [revoked, entered_after], NOW) is ConsentStatus.ACTIVE) is stands
    assert (together(revoked, entered_after).status is ConsentStatus.ACTIVE) is stands


def test_what_a_clock_ahead_of_ours_dated_after_a_revocation_but_was_entered_before_it_is_taken_back() -> None:
    ahead = Signed(at("2026-07-01T12:03:00Z"), at("2027-07-01T12:00:00Z"), recorded_at=at("2026-07-01T12:00:00Z"))
    revoked = replace(OLD, revoked_at=at("2026-07-01T12:01:00Z"))
    assert together(revoked, ahead) == Standing(
        ConsentStatus.REVOKED, at("2026-07-01T12:01:00Z"), None, [Span(since=OLD.signed_at, until=at("2026-07-01T12:01:00Z"))]
    )
    by_itself = replace(ahead, revoked_at=at("2026-07-01T12:01:00Z"))
    assert (together(by_itself).status, together(by_itself).stood) == (ConsentStatus.REVOKED, [])


def test_who_signs_again_after_a_revocation_has_a_consent_that_stands_and_what_stood_before_is_known() -> None:
    revoked = replace(OLD, revoked_at=at("2026-07-01T12:00:00Z"))
    renewed = Signed(at("2026-08-01T12:00:00Z"), at("2027-08-01T23:59:59.999999Z"))
    until = at("2027-08-02T00:00:00Z")
    spans = [Span(since=OLD.signed_at, until=at("2026-07-01T12:00:00Z")), Span(since=renewed.signed_at, until=until)]
    assert together(revoked, renewed) == Standing(ConsentStatus.ACTIVE, renewed.signed_at, until, spans)


def test_signatures_that_overlap_are_one_time() -> None:
    renewed = Signed(at("2026-08-01T12:00:00Z"), at("2027-08-01T23:59:59.999999Z"))
    until = at("2027-08-02T00:00:00Z")
    assert together(OLD, renewed) == Standing(ConsentStatus.ACTIVE, OLD.signed_at, until, [Span(since=OLD.signed_at, until=until)])


def test_one_valid_signature_is_enough_and_none_is_none() -> None:
    expired = Signed(at("2025-01-10T12:00:00Z"), at("2026-01-10T11:59:59.999999Z"))
    assert standing([], NOW) is None
    assert together(expired) == Standing(
        ConsentStatus.EXPIRED, at("2026-01-10T12:00:00Z"), None, [Span(since=expired.signed_at, until=at("2026-01-10T12:00:00Z"))]
    )
    assert together(expired, replace(OLD, signed_at=at("2026-02-10T12:00:00Z"))).status is ConsentStatus.ACTIVE


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


async def statuses(clinic: Caller, patient: Json) -> list[tuple[str, str]]:
    listed = (await clinic.get(f"/intake/v1/patients/{patient['patient_id']}/consents")).json()["items"]
    return [(consent["status"], consent["standing"]) for consent in listed]


@pytest.mark.parametrize("which", [0, 1], ids=["the older", "the newer"])
async def test_of_two_signatures_one_revocation_leaves_none(clinic: Caller, which: int) -> None:
    patient = await registered_patient(clinic)
    both = [await signed_consent(clinic, patient, "treatment", signed_at=f"2026-11-{day}T10:00:00-05:00") for day in (10, 20)]
    revoked = (await clinic.post(f"/intake/v1/consents/{both[which]['consent_id']}/revoke", {"requested_by": "patient"})).json()
    assert (revoked["standing"], revoked["note"]) == ("revoked", None)
    assert await statuses(clinic, patient) == [("revoked", "revoked")] * 2
    other = (await clinic.get(f"/intake/v1/consents/{both[1 - which]['consent_id']}")).json()
    assert (other["revoked_at"], other["taken_back_at"]) == (None, "2026-11-23T14:00:00Z")
    assert "does not stand" in other["note"]


async def test_entering_a_signature_from_before_a_revocation_says_that_it_does_not_stand(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    consent = await signed_consent(clinic, patient)
    await clinic.post(f"/intake/v1/consents/{consent['consent_id']}/revoke", {"requested_by": "patient"})
    late = await signed_consent(clinic, patient, signed_at="2026-11-23T08:00:00-05:00")
    assert (late["status"], late["standing"], late["taken_back_at"]) == ("revoked", "revoked", "2026-11-23T14:00:00Z")
    assert "does not stand" in late["note"]


async def test_a_signature_after_a_revocation_stands(clinic: Caller, clock: FrozenClock) -> None:
    patient = await registered_patient(clinic)
    consent = await signed_consent(clinic, patient)
    await clinic.post(f"/intake/v1/consents/{consent['consent_id']}/revoke", {"requested_by": "patient"})
    clock.advance(timedelta(minutes=1))
    again = await signed_consent(clinic, patient, signed_at="2026-11-23T14:00:01Z")
    assert (again["status"], again["standing"], again["note"]) == ("active", "active", None)
    assert await statuses(clinic, patient) == [("revoked", "active"), ("active", "active")]


async def test_consents_of_other_types_and_patients_are_not_taken_back(clinic: Caller) -> None:
    patient, other = await registered_patient(clinic), await registered_patient(clinic)
    consents = [await signed_consent(clinic, whose, kind) for whose, kind in ((patient, "treatment"), (patient, "messaging"))]
    await signed_consent(clinic, other, "treatment")
    await clinic.post(f"/intake/v1/consents/{consents[0]['consent_id']}/revoke", {"requested_by": "patient"})
    assert sorted(await statuses(clinic, patient)) == [("active", "active"), ("revoked", "revoked")]
    assert await statuses(clinic, other) == [("active", "active")]


async def told_of(intake: Intake, patient: Json) -> list[Json]:
    return [data for kind, data in await intake.events(of=patient["patient_id"]) if kind == "consent.changed"]


async def test_every_change_of_consent_tells_how_it_stands_now(intake: Intake, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    consent = await signed_consent(clinic, patient, "treatment")
    await clinic.post(f"/intake/v1/consents/{consent['consent_id']}/revoke", {"requested_by": "patient"})
    signed, revoked = await told_of(intake, patient)
    assert signed == {
        "occurred_at": "2026-11-23T14:00:00Z",
        "patient_id": patient["patient_id"],
        "consent_type": "treatment",
        "consent_standing": 1,
        "standing": "active",
        "since": "2026-11-20T15:00:00Z",
        "until": "2027-11-21T05:00:00Z",
        "stood": [{"since": "2026-11-20T15:00:00Z", "until": "2027-11-21T05:00:00Z"}],
    }
    assert (revoked["consent_standing"], revoked["standing"], revoked["since"], revoked["until"]) == (
        2,
        "revoked",
        "2026-11-23T14:00:00Z",
        None,
    )
    assert revoked["stood"] == [{"since": "2026-11-20T15:00:00Z", "until": "2026-11-23T14:00:00Z"}]


async def test_two_changes_of_consent_at_once_are_judged_one_by_one(intake: Intake, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    both = [await signed_consent(clinic, patient, signed_at=f"2026-11-{day}T10:00:00-05:00") for day in (10, 20)]
    await asyncio.gather(*(clinic.post(f"/intake/v1/consents/{one['consent_id']}/revoke", {"requested_by": "patient"}) for one in both))
    assert [told["consent_standing"] for told in await told_of(intake, patient)] == [1, 2, 3, 4]
    assert await statuses(clinic, patient) == [("revoked", "revoked")] * 2


# After an upgrade


async def forget(intake: Intake, clinic: Caller) -> None:
    """As the release before left it: consents, and nothing told of how they stand."""
    async with intake.service.database.transaction(clinic.clinic_id) as db:
        await db.execute(text("UPDATE consent_standing SET facts = 0"))


async def test_the_upgrade_tells_everybodys_standing_once(intake: Intake, clinic: Caller, retelling: Retelling) -> None:
    patients = [await registered_patient(clinic) for _ in range(30)]
    for patient in patients:
        await signed_consent(clinic, patient)
        await signed_consent(clinic, patient, "treatment")
    await retelling.tell_all()
    await forget(intake, clinic)
    assert await retelling.tell_all() == 60
    assert await retelling.tell_all() == 0
    told = await told_of(intake, patients[17])
    assert [(one["consent_type"], one["consent_standing"]) for one in told[-2:]] == [("messaging", 2), ("treatment", 2)]


async def test_what_a_replica_of_the_release_before_wrote_is_told_by_the_next_look(
    intake: Intake, clinic: Caller, retelling: Retelling
) -> None:
    patient = await registered_patient(clinic)
    consent = await signed_consent(clinic, patient)
    revoked = "UPDATE consent SET revoked_at = :now, version = 2 WHERE consent_id = :id"
    await intake.by_release_before(clinic, revoked, id=consent["consent_id"])
    await retelling.tell_all()
    assert [one["standing"] for one in await told_of(intake, patient)] == ["active", "revoked"]


async def test_two_processes_that_look_at_once_tell_it_once(intake: Intake, clinic: Caller, retelling: Retelling) -> None:
    patient = await registered_patient(clinic)
    await signed_consent(clinic, patient)
    await retelling.tell_all()
    await forget(intake, clinic)
    await asyncio.gather(retelling.tell_all(), retelling.tell_all())
    assert [one["consent_standing"] for one in await told_of(intake, patient)] == [1, 2]
