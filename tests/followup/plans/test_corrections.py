"""A corrected record moves what is open, keeps what is done or answered, and never puts a due time silently into the past."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from shared.events import sessions as infusions
from tests.followup.clinic import DIRECTOR, NURSE, THERAPIST, Clinic, Json, Visit, at

AMENDED = infusions.InfusionAmended


async def answer(clinic: Clinic, visit: Visit, code: str) -> None:
    """As the patient does, as far as plans can see."""
    async with clinic.database.transaction(clinic.clinic_id) as db:
        await db.execute(
            text(
                """UPDATE check_in SET status = 'submitted', submitted_at = :now, form_code = 'safety-set', form_version = 1
                   WHERE infusion_id = :id AND code = :code"""
            ),
            {"now": clinic.clock.now(), "id": visit.infusion_id, "code": code},
        )


async def test_a_moved_pump_end_moves_what_is_open(clinic: Clinic) -> None:
    visit = clinic.visit()
    ended_at = clinic.clock.now() - timedelta(hours=1)
    await clinic.tell(visit.told(pump_ended_at=ended_at))
    later = ended_at + timedelta(minutes=30)
    await clinic.tell(visit.told(AMENDED, 5, pump_ended_at=later))
    items = await clinic.items(visit)
    assert at(items["C72"], "due_at") == at(items["integration-session"], "due_at") == later + timedelta(hours=72)
    history = await clinic.rows("SELECT action, actor, caused_by FROM task_history ORDER BY version")
    assert [row["action"] for row in history] == ["created", "moved"]
    assert all(row["caused_by"] for row in history)
    [timer] = await clinic.rows(
        "SELECT due_at FROM platform.timer WHERE timer_key = :key", key=f"task-clock:{items['integration-session']['task_id']}"
    )
    assert timer["due_at"] - (later + timedelta(hours=72)) == timedelta(microseconds=1)


async def test_what_is_answered_or_done_keeps_its_old_times(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    before = await clinic.items(visit)
    await answer(clinic, visit, "C24")
    task_id = before["integration-session"]["task_id"]
    assert (await clinic.post(f"tasks/{task_id}/claim", role=THERAPIST)).status_code == 200
    assert (await clinic.post(f"tasks/{task_id}/complete", {"outcome": "declined"}, role=THERAPIST)).status_code == 200
    await clinic.tell(visit.told(AMENDED, 5, pump_ended_at=clinic.clock.now() - timedelta(minutes=5)))
    after = await clinic.items(visit)
    assert at(after["C24"], "due_at") == at(before["C24"], "due_at")
    assert at(after["integration-session"], "due_at") == at(before["integration-session"], "due_at")
    assert at(after["C72"], "due_at") > at(before["C72"], "due_at")


async def test_a_due_time_that_would_be_past_is_kept_marked_and_given_to_a_person(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    before = await clinic.items(visit)
    await clinic.tell(visit.told(AMENDED, 5, pump_ended_at=clinic.clock.now() - timedelta(hours=80)))
    after = await clinic.items(visit)
    for code in ("integration-session", "C24", "C72"):
        assert at(after[code], "due_at") == at(before[code], "due_at")
        assert after[code]["due_kept"] is True
    review = after["due-time-review"]
    assert (review["status"], at(review, "due_at")) == ("requested", clinic.clock.now() + timedelta(hours=4))
    assert (review["reason"], review["facts"]["kept"]) == ("due-kept", ["C24", "C72", "integration-session"])
    await clinic.tell(visit.told(AMENDED, 6, pump_ended_at=clinic.clock.now() - timedelta(hours=81)))
    reviews = await clinic.rows("SELECT status FROM care_task WHERE kind = 'due-time-review'")
    assert [row["status"] for row in reviews] == ["requested"] * 2, "each due time that was refused is looked at"


async def test_told_again_unchanged_nothing_changes(clinic: Clinic) -> None:
    visit = clinic.visit()
    ended_at = clinic.clock.now() - timedelta(hours=1)
    await clinic.tell(visit.told(pump_ended_at=ended_at))
    before = await clinic.items(visit)
    clinic.clock.advance(timedelta(days=5))
    await clinic.tell(visit.told(pump_ended_at=ended_at), visit.told(AMENDED, 5, pump_ended_at=ended_at))
    assert await clinic.items(visit) == before


async def test_what_had_been_lost_is_made_when_it_is_told_again(clinic: Clinic) -> None:
    visit = clinic.visit()
    ended_at = clinic.clock.now() - timedelta(hours=1)
    await clinic.tell(visit.told(pump_ended_at=ended_at))
    async with clinic.database.transaction(clinic.clinic_id) as db:
        moved = {"other": clinic.visit().infusion_id, "id": visit.infusion_id}
        await db.execute(
            text("UPDATE check_in SET infusion_id = :other, anchor_id = :other WHERE infusion_id = :id AND code = 'C72'"), moved
        )
    assert "C72" not in await clinic.items(visit)
    await clinic.tell(visit.told(pump_ended_at=ended_at))
    assert (await clinic.items(visit))["C72"]["status"] == "planned"


async def test_a_correction_to_stopped_early_adds_the_evening_call_and_back_again_drops_it(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.tell(visit.told(AMENDED, 5, outcome="stopped-early"))
    assert (await clinic.items(visit))["same-evening-call"]["status"] == "requested"
    await clinic.tell(visit.told(AMENDED, 6))
    call = (await clinic.items(visit))["same-evening-call"]
    assert (call["status"], call["status_reason"]) == ("cancelled", "record-corrected")


async def tried_in_vain(clinic: Clinic, task_id: object, again_in: timedelta) -> None:
    """Somebody calls, nobody answers, and the next attempt has its time."""
    retry_at = (clinic.clock.now() + again_in).isoformat()
    assert (await clinic.post(f"tasks/{task_id}/claim", role=DIRECTOR)).status_code == 200
    done = await clinic.post(f"tasks/{task_id}/complete", {"outcome": "no-answer", "retry_at": retry_at}, role=DIRECTOR)
    assert done.status_code == 200


async def attempts(clinic: Clinic, visit: Visit, kind: str) -> list[Json]:
    made = "SELECT status, due_at FROM care_task WHERE kind = :kind AND infusion_id = :id ORDER BY attempt"
    return await clinic.rows(made, kind=kind, id=visit.infusion_id)


async def test_a_kind_that_a_correction_drops_takes_its_next_attempt_with_it(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionLeftAgainstAdvice))
    await tried_in_vain(clinic, (await clinic.items(visit))["left-against-advice"]["task_id"], timedelta(minutes=30))
    await clinic.tell(visit.told(AMENDED, 5))
    assert [row["status"] for row in await attempts(clinic, visit, "left-against-advice")] == ["completed", "cancelled"]


async def test_a_correction_leaves_the_time_of_a_next_attempt_as_a_person_settled_it(clinic: Clinic) -> None:
    visit = clinic.visit()
    ended_at = clinic.clock.now() - timedelta(hours=1)
    await clinic.tell(visit.told(infusions.InfusionStoppedEarly, pump_ended_at=ended_at))
    await tried_in_vain(clinic, (await clinic.items(visit))["same-evening-call"]["task_id"], timedelta(minutes=30))
    before = await attempts(clinic, visit, "same-evening-call")
    moved = ended_at + timedelta(minutes=20)
    await clinic.tell(visit.told(AMENDED, 5, pump_ended_at=moved, outcome="stopped-early"))
    assert await attempts(clinic, visit, "same-evening-call") == before
    assert before[1]["status"] == "accepted"


async def test_a_correction_to_transferred_has_a_person_ask_instead(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.tell(visit.told(AMENDED, 5, outcome="transferred"))
    states = await clinic.states(visit)
    assert (states["C24"], states["staff-check-in"], states["C72"]) == ("cancelled", "requested", "planned")


async def test_a_dose_corrected_to_nothing_cancels_the_set_and_lists_it(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.tell(visit.told(AMENDED, 5, drug_given=False, first_of_course=False))
    items = await clinic.items(visit)
    assert {code: row["status"] for code, row in items.items()} == {
        "integration-session": "cancelled",
        "C24": "cancelled",
        "C72": "cancelled",
        "rebook": "requested",
        "cancellation-review": "requested",
    }
    listed = {entry["code"] for entry in items["cancellation-review"]["details"]["items"]}
    assert listed == {"integration-session", "C24", "C72"}
    [plan] = await clinic.rows("SELECT status, status_reason FROM plan")
    assert plan == {"status": "revoked", "status_reason": "no-drug-given"}


async def test_a_dose_that_was_given_after_all_is_followed_anew(clinic: Clinic) -> None:
    visit = clinic.visit()
    ended_at = clinic.clock.now() - timedelta(hours=1)
    await clinic.tell(visit.told(pump_ended_at=ended_at))
    await clinic.tell(visit.told(AMENDED, 5, pump_ended_at=ended_at, drug_given=False, first_of_course=False))
    clinic.clock.advance(timedelta(hours=30))
    await clinic.tell(visit.told(AMENDED, 6, pump_ended_at=ended_at))
    states = await clinic.states(visit)
    assert states["C24"] == "cancelled"
    assert (states["C72"], states["integration-session"], states["catch-up-call"], states["rebook"]) == (
        "planned",
        "requested",
        "requested",
        "cancelled",
    )
    [plan] = await clinic.rows("SELECT status FROM plan")
    assert plan["status"] == "active"


@pytest.mark.parametrize("planned", [True, False], ids=["given at first", "nothing from the first"])
async def test_one_new_visit_is_asked_for_however_often_a_record_of_nothing_given_is_amended(clinic: Clinic, planned: bool) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionStoppedEarly, drug_given=planned, first_of_course=planned))
    for version in (5, 6, 6):
        await clinic.tell(visit.told(AMENDED, version, outcome="stopped-early", drug_given=False, first_of_course=False))
    assert [row["status"] for row in await rebooked(clinic, visit)] == ["requested"]


async def test_a_visit_that_was_booked_anew_is_not_asked_for_again_by_a_correction(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionStoppedEarly, drug_given=False, first_of_course=False))
    task_id = (await clinic.items(visit))["rebook"]["task_id"]
    await clinic.post(f"tasks/{task_id}/claim")
    await clinic.post(f"tasks/{task_id}/complete", {"outcome": "done"})
    await clinic.tell(visit.told(AMENDED, 5, outcome="stopped-early", drug_given=False, first_of_course=False))
    assert [row["status"] for row in await rebooked(clinic, visit)] == ["completed"]


async def test_each_time_that_a_dose_turns_out_to_be_nothing_a_new_visit_is_asked_for(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionStoppedEarly, drug_given=False, first_of_course=False))
    for version, given in ((5, True), (6, False), (7, True), (8, False), (9, False)):
        await clinic.tell(visit.told(AMENDED, version, outcome="stopped-early", drug_given=given, first_of_course=given))
    assert [row["status"] for row in await rebooked(clinic, visit)] == ["cancelled", "cancelled", "requested"]


async def rebooked(clinic: Clinic, visit: Visit) -> list[Json]:
    return await clinic.rows(
        "SELECT status FROM care_task WHERE kind = 'rebook' AND infusion_id = :id ORDER BY ordinal", id=visit.infusion_id
    )


async def test_a_first_record_of_nothing_given_is_followed_once_it_is_corrected(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionStoppedEarly, drug_given=False, first_of_course=False))
    await clinic.tell(visit.told(AMENDED, 5, outcome="stopped-early"))
    states = await clinic.states(visit)
    assert (states["rebook"], states["C24"], states["integration-session"]) == ("cancelled", "planned", "requested")


async def test_an_infusion_entered_in_error_takes_its_open_work_with_it(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionStoppedEarly))
    call_id = (await clinic.items(visit))["same-evening-call"]["task_id"]
    assert (await clinic.post(f"tasks/{call_id}/claim", role=NURSE)).status_code == 200
    assert (await clinic.post(f"tasks/{call_id}/complete", {"outcome": "reached"}, role=NURSE)).status_code == 200
    await clinic.tell(visit.told(infusions.InfusionEnteredInError, 5))
    states = await clinic.states(visit)
    assert states == {
        "integration-session": "entered-in-error",
        "same-evening-call": "completed",
        "C24": "cancelled",
        "C72": "cancelled",
        "cancellation-review": "requested",
    }
    await clinic.pass_time(timedelta(days=8))
    assert await clinic.rows("SELECT 1 FROM check_in WHERE course_id = :id AND code = 'WK'", id=visit.course_id) == []


@pytest.mark.parametrize("why", ["entered in error", "nothing given"])
async def test_what_an_answer_raised_outlives_the_record_of_its_infusion(clinic: Clinic, why: str) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.worry((await clinic.items(visit))["C24"]["check_in_id"])
    told = visit.told(infusions.InfusionEnteredInError, 5) if why == "entered in error" else visit.told(AMENDED, 5, drug_given=False)
    await clinic.tell(told)
    assert (await clinic.states(visit))["safety-review"] == "requested"


async def test_an_error_that_is_told_first_leaves_nothing_to_follow(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionEnteredInError, 5), visit.told(version=4))
    assert await clinic.states(visit) == {}
