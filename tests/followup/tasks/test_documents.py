"""The policy of the queue as a clinic's own document: two clinics on one installation, each with its own holds, roles and endings."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest

from services.followup.tasks.policy import TASK_POLICY
from shared.documents.checking import checked
from shared.documents.kinds import FIRST_OF_A_CLINIC
from shared.errors import Invalid
from shared.events import intake
from tests.followup.clinic import COORDINATOR, DIRECTOR, NURSE, PRESCRIBER, Clinic, Visit

Opened = Callable[[], Awaitable[Clinic]]
OWN = TASK_POLICY.default_text.replace("code: task-policy\nversion: 3\n", "")
SHORT = OWN.replace("days: 14", "days: 3")
KEPT = OWN.replace(
    "kept_after: [treatment-consent-revoked] # offered and not chased", "kept_after: [withdrawal, treatment-consent-revoked]"
)
BY_NURSES = OWN.replace("roles: [coordinator, intake-nurse, infusion-nurse, medical-director]", "roles: [infusion-nurse, medical-director]")


async def own(clinic: Clinic, content: str, **sign_off: object) -> int:
    written = await clinic.post("documents", {"code": "task-policy", "content": content}, role=PRESCRIBER)
    assert written.status_code == 201, written.text
    version = int(written.json()["version"])
    signed = await clinic.post(f"documents/task-policy/versions/{version}/sign-off", dict(sign_off), role=DIRECTOR)
    assert signed.is_success, signed.text
    return version


async def held(clinic: Clinic, task_id: str, days: float) -> httpx.Response:
    until = clinic.clock.now() + timedelta(days=days)
    return await clinic.post(f"tasks/{task_id}/hold", {"until": until.isoformat(), "reason": "waiting-for-patient"})


async def claimed(clinic: Clinic) -> str:
    task = await clinic.task("rebook")
    assert (await clinic.post(f"tasks/{task['task_id']}/claim", role=COORDINATOR)).is_success
    return str(task["task_id"])


def withdrawal(visit: Visit) -> intake.PatientWithdrawn:
    return intake.PatientWithdrawn(occurred_at=visit.clock.now(), patient_id=visit.patient_id, patient_version=2)


async def test_work_waits_as_long_as_its_clinic_has_settled(open_clinic: Opened) -> None:
    ours, theirs = await open_clinic(), await open_clinic()
    await own(ours, SHORT)
    answers = [await held(clinic, await claimed(clinic), 5) for clinic in (ours, theirs)]
    assert [answer.status_code for answer in answers] == [422, 200]
    assert answers[0].json()["errors"][0]["detail"] == "at most 3 days in all"


async def test_a_hold_policy_from_tomorrow_counts_from_tomorrow(clinic: Clinic) -> None:
    tomorrow = clinic.clock.now() + timedelta(days=1)
    await own(clinic, SHORT, active_from=tomorrow.isoformat())
    first, second = await claimed(clinic), await claimed(clinic)
    assert (await held(clinic, first, 5)).status_code == 200
    await clinic.pass_time(timedelta(days=1))
    assert (await held(clinic, second, 5)).json()["code"] == "hold-too-long"


async def test_who_may_have_work_is_what_its_clinic_has_settled(open_clinic: Opened) -> None:
    ours, theirs = await open_clinic(), await open_clinic()
    await own(ours, BY_NURSES)
    tasks = [(clinic, (await clinic.task("rebook"))["task_id"]) for clinic in (ours, theirs)]
    by_desk = [(await clinic.post(f"tasks/{task_id}/claim", role=COORDINATOR)).status_code for clinic, task_id in tasks]
    assert by_desk == [403, 200]
    assert (await ours.post(f"tasks/{tasks[0][1]}/claim", role=NURSE)).is_success


async def test_what_a_withdrawal_leaves_open_is_what_its_clinic_has_settled(open_clinic: Opened) -> None:
    ours, theirs = await open_clinic(), await open_clinic()
    await own(ours, KEPT)
    found = []
    for clinic in (ours, theirs):
        visit = clinic.visit()
        await clinic.tell(visit.told(), withdrawal(visit))
        found.append((await clinic.states(visit))["integration-session"])
    assert found == ["requested", "cancelled"]


def test_a_kind_that_is_left_out_is_as_in_the_default() -> None:
    only_one = OWN.partition("\n  staff-check-in:")[0] + "\n"
    assert checked(TASK_POLICY, only_one, FIRST_OF_A_CLINIC).kinds == TASK_POLICY.default.kinds


@pytest.mark.parametrize(
    ("written", "instead", "code"),
    [
        ("note_readers: [", "note_readers: [coordinator, ", "not-allowed"),
        ("  due-time-review:", "  due-time-revue:", "kind-unknown"),
        ("outcomes: [done, unable]", "outcomes: [finished]", "not-one-of"),
        ("outcomes: [done, unable]", "outcomes: []", "too-short"),
        ("roles: [prescriber, medical-director]", "roles: []", "too-short"),
        ("roles: [prescriber, medical-director]", "roles: [auditor]", "not-allowed"),
        ("roles: [prescriber, medical-director]", "roles: [surgeon]", "not-one-of"),
        ("days: 14", "days: 140", "out-of-range"),
        ("within_days: 7", "within_days: 0", "out-of-range"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_by_line(written: str, instead: str, code: str) -> None:
    assert written in OWN
    with pytest.raises(Invalid) as refused:
        checked(TASK_POLICY, OWN.replace(written, instead), FIRST_OF_A_CLINIC)
    assert code in [error.code for error in refused.value.errors]
    assert all(error.detail.startswith("Line ") for error in refused.value.errors)
