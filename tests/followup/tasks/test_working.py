"""What people do with tasks: claim without a race, assign, release, hold, resume, complete; all of it told in the history."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.followup.checkins.queries import get_check_in
from services.followup.checkins.work import overdue_task
from services.followup.tasks import commands as tasks
from shared.events import sessions as infusions
from tests.followup.clinic import ADMIN, COORDINATOR, DIRECTOR, NURSE, PRESCRIBER, THERAPIST, Clinic, Json, Statements, Visit


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, str(answer.json()["code"])


async def claimed(clinic: Clinic, kind: str = "integration-session", role: str = THERAPIST, **facts: Any) -> Json:
    """A task that somebody has."""
    task = await clinic.task(kind, **facts)
    answer = await clinic.post(f"tasks/{task['task_id']}/claim", role=role)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def opened(clinic: Clinic, task: Json) -> datetime:
    """Let time go on until the task's window opens; when that is."""
    opens_at = datetime.fromisoformat(task["window_starts_at"])
    await clinic.pass_time(opens_at - clinic.clock.now())
    return opens_at


async def actions(clinic: Clinic, task: Json) -> list[str]:
    """What happened to a task."""
    answer = await clinic.get(f"tasks/{task['task_id']}/history")
    return [line["action"] for line in answer.json()["items"]]


async def test_of_eight_who_claim_at_once_one_has_it_and_the_others_know_who(clinic: Clinic) -> None:
    task = await clinic.task()
    crowd = [await clinic.practitioner("therapist") for _ in range(8)]
    answers = await asyncio.gather(*(clinic.post(f"tasks/{task['task_id']}/claim", role=one) for one in crowd))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 7}
    winner = next(answer.json()["owner_id"] for answer in answers if answer.status_code == 200)
    assert {(answer.json()["code"], answer.json()["owner_id"]) for answer in answers if answer.status_code == 409} == {
        ("already-claimed", winner)
    }
    assert {answer.json().get("state") for answer in answers if answer.status_code == 409} == {"accepted"}
    assert UUID(winner) in crowd
    assert await actions(clinic, task) == ["created", "claimed"]


async def test_a_claim_answers_with_the_task_and_its_version(clinic: Clinic) -> None:
    task = await clinic.task()
    answer = await clinic.post(f"tasks/{task['task_id']}/claim", role=THERAPIST)
    body = answer.json()
    assert (body["status"], body["owner_id"], body["version"]) == ("accepted", str(clinic.people[THERAPIST]), 2)
    assert answer.headers["ETag"] == 'W/"2"'


async def test_work_for_clinicians_is_not_a_coordinators(clinic: Clinic) -> None:
    task = await clinic.task("left-against-advice")
    assert refused(await clinic.post(f"tasks/{task['task_id']}/claim", role=COORDINATOR)) == (403, "role-missing")
    assert (await clinic.post(f"tasks/{task['task_id']}/claim", role=PRESCRIBER)).status_code == 200


async def test_a_machine_without_a_person_claims_nothing(clinic: Clinic) -> None:
    task = await clinic.task()
    assert refused(await clinic.post(f"tasks/{task['task_id']}/claim", role=None)) == (403, "practitioner-required")


async def test_a_clinic_admin_sees_no_work_and_gives_none_out(clinic: Clinic) -> None:
    task = await clinic.task("rebook")
    path = f"tasks/{task['task_id']}"
    assert refused(await clinic.get(path, ADMIN)) == (403, "role-missing")
    assert refused(await clinic.post(f"{path}/claim", role=ADMIN)) == (403, "role-missing")
    given = await clinic.post(f"{path}/assign", {"owner_id": str(clinic.people[COORDINATOR])}, role=ADMIN)
    assert refused(given) == (403, "role-missing")


async def test_who_saw_an_older_version_is_refused(clinic: Clinic) -> None:
    task = await clinic.task()
    path = f"tasks/{task['task_id']}/claim"
    assert refused(await clinic.post(path, role=THERAPIST, If_Match='W/"7"')) == (412, "version-stale")
    assert (await clinic.post(path, role=THERAPIST, If_Match='W/"1"')).status_code == 200


async def test_a_task_is_given_to_somebody_whose_roles_fit_and_to_nobody_else(clinic: Clinic) -> None:
    task = await clinic.task("left-against-advice")
    path = f"tasks/{task['task_id']}/assign"
    stranger = await clinic.post(path, {"owner_id": str(uuid4())}, role=DIRECTOR)
    assert refused(stranger) == (422, "reference-not-found")
    assert stranger.json()["errors"][0]["pointer"] == "/owner_id"
    assert refused(await clinic.post(path, {"owner_id": str(clinic.people[COORDINATOR])}, role=DIRECTOR)) == (422, "role-missing")
    assert (await clinic.post(path, {"owner_id": str(clinic.people[PRESCRIBER])}, role=COORDINATOR)).status_code == 200
    assert await actions(clinic, task) == ["created", "assigned"]


async def test_a_task_goes_back_by_its_owner_or_who_leads_the_queue(clinic: Clinic) -> None:
    task = await claimed(clinic, "rebook", role=COORDINATOR)
    path = f"tasks/{task['task_id']}/release"
    assert refused(await clinic.post(path, role=NURSE)) == (409, "not-owner")
    assert (await clinic.post(path, role=DIRECTOR)).json()["status"] == "requested"
    again = await clinic.post(path, role=DIRECTOR)
    assert (refused(again), again.json()["state"], again.json()["allowed"]) == ((409, "state"), "requested", ["claim", "assign"])


async def test_a_held_task_wakes_by_itself_with_its_owner(clinic: Clinic) -> None:
    task = await claimed(clinic, "rebook", role=COORDINATOR)
    path = f"tasks/{task['task_id']}"
    until = clinic.clock.now() + timedelta(hours=3)
    held = await clinic.post(f"{path}/hold", {"until": until.isoformat(), "reason": "waiting-for-patient"})
    assert (held.json()["status"], held.json()["status_reason"]) == ("on-hold", "waiting-for-patient")
    await clinic.pass_time(timedelta(hours=2))
    assert (await clinic.get(path)).json()["status"] == "on-hold"
    await clinic.pass_time(timedelta(hours=1))
    woken = (await clinic.get(path)).json()
    assert (woken["status"], woken["owner_id"], woken["held_until"]) == ("accepted", str(clinic.people[COORDINATOR]), None)
    assert await actions(clinic, task) == ["created", "claimed", "held", "woke"]


async def test_a_clinicians_task_waits_a_day_in_all_and_no_longer(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    async with clinic.database.transaction(clinic.clinic_id) as db:
        check_in = await get_check_in(db, (await clinic.items(visit))["C24"]["check_in_id"])
        new = overdue_task(check_in, clinic.clock.now(), clinic.clock.now(), sent=True)
        await tasks.add(db, [new])
    path = f"tasks/{new.task_id}"
    assert (await clinic.post(f"{path}/claim")).status_code == 200

    async def hold(hours: float) -> httpx.Response:
        until = clinic.clock.now() + timedelta(hours=hours)
        return await clinic.post(f"{path}/hold", {"until": until.isoformat(), "reason": "outside-hours"})

    assert refused(await hold(24.5)) == (422, "hold-too-long")
    assert refused(await hold(-1)) == (422, "hold-not-ahead")
    assert (await hold(20)).status_code == 200
    await clinic.pass_time(timedelta(hours=18))
    assert (await clinic.post(f"{path}/resume")).json()["status"] == "accepted"
    assert refused(await hold(7)) == (422, "hold-too-long")
    assert (await hold(6)).status_code == 200


async def held(clinic: Clinic, task_id: str, days: float) -> httpx.Response:
    """A coordinator lets a task wait."""
    until = clinic.clock.now() + timedelta(days=days)
    return await clinic.post(f"tasks/{task_id}/hold", {"until": until.isoformat(), "reason": "waiting-for-patient"})


async def test_office_work_waits_fourteen_days_in_all(clinic: Clinic) -> None:
    task = await claimed(clinic, "rebook", role=COORDINATOR)
    answer = await held(clinic, task["task_id"], 14.01)
    assert (refused(answer), answer.json()["errors"][0]["detail"]) == ((422, "hold-too-long"), "at most 14 days in all")
    assert (await held(clinic, task["task_id"], 14)).status_code == 200
    await clinic.pass_time(timedelta(days=13))
    assert (await clinic.post(f"tasks/{task['task_id']}/resume")).status_code == 200
    assert refused(await held(clinic, task["task_id"], 1.01)) == (422, "hold-too-long")


async def test_a_session_is_never_held_past_its_window(clinic: Clinic) -> None:
    task = await claimed(clinic, "integration-session", role=COORDINATOR)
    window = datetime.fromisoformat(task["due_at"]) - clinic.clock.now()
    assert refused(await held(clinic, task["task_id"], (window + timedelta(minutes=1)) / timedelta(days=1))) == (422, "hold-too-long")
    assert (await held(clinic, task["task_id"], window / timedelta(days=1))).status_code == 200
    await clinic.pass_time(window + timedelta(hours=1))
    last = datetime.fromisoformat(task["expires_at"]) - clinic.clock.now()
    assert refused(await held(clinic, task["task_id"], (last + timedelta(minutes=1)) / timedelta(days=1))) == (422, "hold-too-long")
    assert (await held(clinic, task["task_id"], last / timedelta(days=1))).status_code == 200


async def test_office_work_is_back_on_the_day_of_the_next_infusion_also_of_one_that_is_booked_meanwhile(clinic: Clinic) -> None:
    visit = clinic.visit()
    task = await claimed(clinic, "rebook", role=COORDINATOR, visit=visit)
    # At 09:00 in New York; the visits are of other courses, so that they end no task to book one.
    first, second = Visit(clinic.clock, patient_id=visit.patient_id), Visit(clinic.clock, patient_id=visit.patient_id)
    await clinic.tell(first.told(infusions.InfusionScheduled, 1, scheduled_at=clinic.clock.now() + timedelta(days=6)))
    assert refused(await held(clinic, task["task_id"], 6)) == (422, "hold-too-long")
    assert (await held(clinic, task["task_id"], 5.6)).status_code == 200
    await clinic.tell(second.told(infusions.InfusionScheduled, 1, scheduled_at=clinic.clock.now() + timedelta(days=2)))
    shown = (await clinic.get(f"tasks/{task['task_id']}")).json()
    assert shown["held_until"] == "2026-11-25T05:00:00Z", "when that day begins in New York"
    await clinic.pass_time(timedelta(days=1, hours=15, minutes=1))
    assert (await clinic.get(f"tasks/{task['task_id']}")).json()["status"] == "accepted"
    history = (await clinic.get(f"tasks/{task['task_id']}/history")).json()["items"]
    assert [line["action"] for line in history][1:4] == ["claimed", "held", "held"]
    assert history[3]["caused_by"] is not None


async def test_pressing_work_may_not_wait_and_nobody_holds_what_another_has(clinic: Clinic) -> None:
    until = (clinic.clock.now() + timedelta(hours=1)).isoformat()
    body = {"until": until, "reason": "waiting-for-patient"}
    urgent = await claimed(clinic, "same-evening-call", role=NURSE)
    assert refused(await clinic.post(f"tasks/{urgent['task_id']}/hold", body, role=NURSE)) == (409, "hold-not-allowed")
    mine = await claimed(clinic, "rebook", role=COORDINATOR)
    assert refused(await clinic.post(f"tasks/{mine['task_id']}/hold", body, role=NURSE)) == (409, "not-owner")


async def test_completing_says_how_and_when_and_closes_for_good(clinic: Clinic) -> None:
    task = await claimed(clinic)
    path = f"tasks/{task['task_id']}"
    performed_at = await opened(clinic, task)
    await clinic.pass_time(timedelta(hours=2))
    done = await clinic.post(
        f"{path}/complete",
        {"outcome": "done", "note": "Went well.\nNext on Friday.", "performed_at": performed_at.isoformat()},
        role=THERAPIST,
    )
    body = done.json()
    assert (body["status"], body["outcome"], body["note"]) == ("completed", "done", "Went well.\nNext on Friday.")
    assert body["performed_at"] == performed_at.isoformat().replace("+00:00", "Z")
    assert refused(await clinic.post(f"{path}/complete", {"outcome": "done"}, role=THERAPIST)) == (409, "state")
    assert await actions(clinic, task) == ["created", "claimed", "completed"]


async def test_a_note_is_read_by_clinical_roles_only_and_is_in_no_history(clinic: Clinic) -> None:
    task = await claimed(clinic, "rebook", role=COORDINATOR)
    path = f"tasks/{task['task_id']}"
    written = await clinic.post(f"{path}/complete", {"outcome": "done", "note": "secret of the patient"})
    assert (written.json()["note"], written.json()["note_withheld"]) == (None, True)
    for role, note in ((COORDINATOR, None), (None, None), (NURSE, "secret of the patient")):
        assert (await clinic.get(path, role)).json()["note"] == note
    assert "secret" not in (await clinic.get(f"{path}/history", NURSE)).text
    assert "secret" not in (await clinic.get("tasks", NURSE, view="done")).text


async def test_no_answer_makes_the_next_attempt_with_the_same_owner(clinic: Clinic) -> None:
    task = await claimed(clinic, "same-evening-call", role=NURSE)
    path = f"tasks/{task['task_id']}/complete"
    assert refused(await clinic.post(path, {"outcome": "no-answer"}, role=NURSE)) == (422, "retry-required")
    retry_at = clinic.clock.now() + timedelta(hours=3)
    assert (await clinic.post(path, {"outcome": "no-answer", "retry_at": retry_at.isoformat()}, role=NURSE)).status_code == 200
    [mine] = (await clinic.get("tasks", NURSE, view="mine", kind="same-evening-call")).json()["items"]
    assert (mine["attempt"], mine["status"], mine["due_at"]) == (2, "accepted", retry_at.isoformat().replace("+00:00", "Z"))
    assert mine["owner_id"] == str(clinic.people[NURSE])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"outcome": "reached"}, "outcome-not-applicable"),
        ({"outcome": "done", "retry_at": "2026-11-24T10:00:00Z"}, "retry-not-applicable"),
        ({"outcome": "done", "performed_at": "2026-11-20T10:00:00Z"}, "too-early"),
        ({"outcome": "done", "performed_at": "2026-11-23T14:00:00Z"}, "too-early"),
        ({"outcome": "done"}, "too-early"),
        ({"outcome": "done", "performed_at": "2026-11-25T10:00:00Z"}, "time-out-of-range"),
    ],
)
async def test_what_does_not_fit_the_task_is_refused_and_changes_nothing(clinic: Clinic, body: Json, code: str) -> None:
    task = await claimed(clinic)
    assert refused(await clinic.post(f"tasks/{task['task_id']}/complete", body, role=THERAPIST)) == (422, code)
    assert (await clinic.get(f"tasks/{task['task_id']}")).json()["version"] == task["version"]


async def test_a_session_held_before_its_task_was_made_of_a_late_entry_is_closed_at_its_time(clinic: Clinic) -> None:
    task = await claimed(clinic, pump_ended_at=clinic.clock.now() - timedelta(hours=40))
    held_at = clinic.clock.now() - timedelta(hours=3)
    body = {"outcome": "done", "performed_at": held_at.isoformat()}
    assert (await clinic.post(f"tasks/{task['task_id']}/complete", body, role=THERAPIST)).status_code == 200


async def test_a_next_attempt_keeps_the_window(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionTransferred))
    task_id = (await clinic.items(visit))["staff-check-in"]["task_id"]
    task = (await clinic.post(f"tasks/{task_id}/claim", role=NURSE)).json()
    retry_at = (clinic.clock.now() + timedelta(hours=1)).isoformat()
    path = "tasks/{}/complete"
    missed = await clinic.post(path.format(task["task_id"]), {"outcome": "no-answer", "retry_at": retry_at}, role=NURSE)
    assert missed.status_code == 200, missed.text
    (again,) = (await clinic.get("tasks", NURSE, view="mine", kind="staff-check-in")).json()["items"]
    assert again["window_starts_at"] == task["window_starts_at"]
    assert refused(await clinic.post(path.format(again["task_id"]), {"outcome": "reached"}, role=NURSE)) == (422, "too-early")


async def test_nobody_completes_what_they_do_not_have(clinic: Clinic) -> None:
    task = await clinic.task()
    answer = await clinic.post(f"tasks/{task['task_id']}/complete", {"outcome": "done"}, role=THERAPIST)
    assert refused(answer) == (409, "not-owner")
    assert answer.json()["owner_id"] is None


async def test_what_is_past_its_due_time_is_overdue_and_then_missed_and_can_still_be_done(clinic: Clinic) -> None:
    task = await claimed(clinic)
    path = f"tasks/{task['task_id']}"
    await clinic.pass_time(timedelta(hours=71))
    at_the_limit = (await clinic.get(path)).json()
    assert (at_the_limit["business_status"], at_the_limit["overdue"]) == ("to-do", False)
    await clinic.pass_time(timedelta(seconds=1))
    late = (await clinic.get(path)).json()
    assert (late["business_status"], late["overdue"], late["status"]) == ("overdue", True, "accepted")
    await clinic.pass_time(timedelta(days=8))
    assert (await clinic.get(path)).json()["business_status"] == "missed"
    done = (await clinic.post(f"{path}/complete", {"outcome": "done"}, role=THERAPIST)).json()
    assert (done["status"], done["overdue"]) == ("completed", False)
    assert await actions(clinic, task) == ["created", "claimed", "overdue", "missed", "completed"]


async def test_the_history_names_who_did_what(clinic: Clinic) -> None:
    task = await claimed(clinic)
    lines = (await clinic.get(f"tasks/{task['task_id']}/history")).json()["items"]
    assert [line["actor"] for line in lines] == ["Service/followup", f"Practitioner/{clinic.people[THERAPIST]}"]
    assert lines[0]["caused_by"] is not None
    assert [line["version"] for line in lines] == [1, 2]


@pytest.mark.parametrize("step", ["claim", "assign", "release", "hold", "resume", "complete"])
async def test_another_clinics_task_is_unknown_like_any_other_id(clinic: Clinic, open_clinic: object, step: str) -> None:
    assert callable(open_clinic)
    other: Clinic = await open_clinic()
    task = await other.task()
    body: dict[str, Json] = {
        "assign": {"owner_id": str(clinic.people[DIRECTOR])},
        "hold": {"until": "2026-11-23T16:00:00Z", "reason": "outside-hours"},
        "complete": {"outcome": "done"},
    }
    for task_id in (task["task_id"], str(uuid4())):
        answer = await clinic.post(f"tasks/{task_id}/{step}", body.get(step), role=DIRECTOR)
        assert refused(answer) == (404, "not-found")
    assert (await other.get(f"tasks/{task['task_id']}")).json()["version"] == 1


async def test_work_of_a_later_release_is_listed_read_and_refused_with_a_code_and_never_hides_the_rest(clinic: Clinic) -> None:
    ours, later = await clinic.task("rebook"), await clinic.task("rebook")
    await clinic.rows("UPDATE care_task SET kind = 'of-a-later-release' WHERE task_id = :id RETURNING 1", id=later["task_id"])
    await clinic.rows(_CHANGED_BY_A_LATER_RELEASE, id=later["task_id"])
    listed = (await clinic.get("tasks")).json()["items"]
    assert {ours["task_id"], later["task_id"]} <= {task["task_id"] for task in listed}
    _, line = (await clinic.get(f"tasks/{later['task_id']}/history")).json()["items"]
    assert (line["action"], line["says"]) == ("other", "Changed by a newer version of the program.")
    for step, body in (("claim", {}), ("assign", {"owner_id": str(clinic.people[COORDINATOR])})):
        assert refused(await clinic.post(f"tasks/{later['task_id']}/{step}", body)) == (409, "kind-unknown")
    await clinic.rows(
        "UPDATE care_task SET status = 'accepted', owner_id = :me WHERE task_id = :id RETURNING 1",
        id=later["task_id"],
        me=clinic.people[COORDINATOR],
    )
    until = (clinic.clock.now() + timedelta(hours=1)).isoformat()
    for step, body in (("hold", {"until": until, "reason": "waiting-for-patient"}), ("complete", {"outcome": "done"})):
        assert refused(await clinic.post(f"tasks/{later['task_id']}/{step}", body)) == (409, "kind-unknown")
    assert (await clinic.post(f"tasks/{later['task_id']}/release")).status_code == 200


async def test_who_names_the_version_they_have_seen_costs_no_statement_more(clinic: Clinic) -> None:
    task, sent = await claimed(clinic, "rebook", role=COORDINATOR), list[int]()
    for named in (False, True):
        assert (await held(clinic, task["task_id"], 1)).status_code == 200
        version = (await clinic.get(f"tasks/{task['task_id']}")).json()["version"]
        seen: Json = {"If_Match": f'W/"{version}"'} if named else {}
        with Statements(clinic.database) as counted:
            answer = await clinic.post(f"tasks/{task['task_id']}/resume", **seen)
        assert answer.status_code == 200
        sent.append(len(counted.texts))
    assert sent[0] == sent[1]


_CHANGED_BY_A_LATER_RELEASE = """
    INSERT INTO task_history (clinic_id, task_id, version, action, changed_at, actor, status, business_status, due_at, details)
    SELECT clinic_id, task_id, 99, 'of-a-later-release', changed_at, actor, status, business_status, due_at, details
    FROM task_history WHERE task_id = :id RETURNING 1
"""
