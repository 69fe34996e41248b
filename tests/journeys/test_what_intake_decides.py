"""Whether consent stands, and that a death was recorded by mistake: decided by intake, and the same for everybody who acts on it."""

from datetime import timedelta

import pytest

from services.demo.client import Refused
from tests.support.house import Clinic, House, Patient
from tests.support.waiting import eventually


async def signed(clinic: Clinic, patient: Patient, kind: str, **ago: float) -> str:
    """A further signature, so long ago."""
    signed_at = (clinic.house.clock.now() - timedelta(**ago)).isoformat()
    body = {"consent_type": kind, "consent_version": "2", "signed_at": signed_at}
    return str((await clinic.system.post(f"/intake/v1/patients/{patient.patient_id}/consents", body))["consent_id"])


async def revoke(clinic: Clinic, consent_id: str) -> None:
    await clinic.system.post(f"/intake/v1/consents/{consent_id}/revoke", {"requested_by": "patient"})
    await clinic.house.settled()


async def listed(clinic: Clinic, patient: Patient, kind: str) -> set[tuple[str, str]]:
    page = await clinic.system.get(f"/intake/v1/patients/{patient.patient_id}/consents")
    return {(item["status"], item["standing"]) for item in page["items"] if item["consent_type"] == kind}


async def refused_for_want_of_consent(patient: Patient) -> None:
    """The clinic's system asks again as long as it is patient, since the consent may be news; of what it waits for, only that is a 409."""
    with pytest.raises(Refused) as refused:
        await patient.infuse()
    assert (refused.value.status, refused.value.code) == (409, "gave-up-waiting")


async def test_of_two_treatment_consents_one_revoked_nobody_acts_on_the_other(house: House, clinic: Clinic) -> None:
    clinic.system.patience_seconds = 1
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans)
    older = await signed(clinic, patient, "treatment", days=30)
    await revoke(clinic, older)
    assert await listed(clinic, patient, "treatment") == {("revoked", "revoked")}
    await eventually(patient.plans, lambda plans: [plan["status"] for plan in plans] == ["revoked"])
    assert set((await patient.check_ins()).values()) == {"planned"}, "what asks after an infusion that was given stays"
    house.clock.advance(timedelta(days=2))
    await refused_for_want_of_consent(patient)


async def test_a_signature_of_that_morning_entered_after_the_revocation_changes_nothing(house: House, clinic: Clinic) -> None:
    clinic.system.patience_seconds = 1
    patient = await clinic.admit()
    page = await clinic.system.get(f"/intake/v1/patients/{patient.patient_id}/consents")
    (treatment,) = [item["consent_id"] for item in page["items"] if item["consent_type"] == "treatment"]
    await revoke(clinic, treatment)
    await signed(clinic, patient, "treatment", hours=3)
    house.clock.advance(timedelta(minutes=1))
    await refused_for_want_of_consent(patient)
    await signed(clinic, patient, "treatment", seconds=1)
    house.clock.advance(timedelta(hours=8))
    await patient.complete()
    await eventually(patient.plans)
    assert (await patient.check_ins())["C24"] == "planned"


async def test_of_two_messaging_consents_one_revoked_no_message_leaves(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans)
    await revoke(clinic, await signed(clinic, patient, "messaging", days=30))
    house.clock.advance(timedelta(hours=23))
    tasks = await eventually(patient.tasks, lambda tasks: "staff-check-in" in tasks)
    assert tasks["staff-check-in"] == "requested"
    assert await house.messages() == []


async def test_after_a_death_by_mistake_the_patient_is_treated_and_written_to_again(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await eventually(patient.plans)
    path = f"/intake/v1/patients/{patient.patient_id}/death"
    dead = await clinic.system.post(path, {})
    await eventually(patient.check_ins, lambda states: set(states.values()) == {"cancelled"})
    reason = {"reason": "Another patient of that name"}
    await clinic.system.post(f"{path}/entered-in-error", reason, acting=clinic.staff["prescriber"], version=dead["version"])
    await eventually(patient.check_ins, lambda states: set(states.values()) == {"planned"})
    tasks = await patient.tasks()
    assert (tasks["cancellation-review"], "catch-up-call" in tasks) == ("cancelled", False)
    house.clock.advance(timedelta(hours=23))
    (message,) = await eventually(house.messages)
    assert message["to"] == patient.record["email"]
    house.clock.advance(timedelta(days=2))
    await patient.complete()
    await eventually(patient.plans)
