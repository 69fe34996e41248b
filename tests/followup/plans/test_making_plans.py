"""A finished infusion becomes one set of follow-up work: once, whole, and with a number of statements that does not grow."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.events import sessions as infusions
from tests.followup.clinic import Clinic, Statements, at

FULL_SET = {"integration-session": "requested", "C24": "planned", "C72": "planned"}


async def test_a_completed_infusion_has_its_full_set(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    assert await clinic.states(visit) == FULL_SET
    [plan] = await clinic.rows("SELECT * FROM plan WHERE infusion_id = :id", id=visit.infusion_id)
    assert (plan["status"], plan["protocol_code"], plan["protocol_version"]) == ("active", "default", 2)
    integration = (await clinic.items(visit))["integration-session"]
    assert integration["suggested_owner_id"] == visit.therapist_id
    assert integration["plan_id"] == plan["plan_id"]


async def test_three_deliveries_of_one_event_make_one_set(clinic: Clinic) -> None:
    visit = clinic.visit()
    event = visit.told()
    await clinic.tell_at_once(event, event)
    await clinic.tell(event)
    assert await clinic.states(visit) == FULL_SET
    counts = await clinic.rows(
        """SELECT (SELECT count(*) FROM plan) AS plans, (SELECT count(*) FROM care_task) AS tasks,
                  (SELECT count(*) FROM task_history) AS lines, (SELECT count(*) FROM check_in) AS check_ins"""
    )
    assert counts == [{"plans": 1, "tasks": 1, "lines": 1, "check_ins": 2}]


async def test_an_event_of_an_older_version_changes_nothing(clinic: Clinic) -> None:
    visit = clinic.visit()
    earlier = clinic.clock.now() - timedelta(hours=3)
    await clinic.tell(visit.told(infusions.InfusionAmended, version=5, pump_ended_at=earlier))
    before = await clinic.items(visit)
    await clinic.tell(visit.told(infusions.InfusionCompleted, version=4))
    assert await clinic.items(visit) == before
    assert at(before["C72"], "due_at") == earlier + timedelta(hours=72)


async def test_fifty_infusions_take_as_many_statements_as_two(clinic: Clinic) -> None:
    counted: list[list[str]] = []
    for number in (2, 50):
        events = [clinic.visit().told() for _ in range(number)]
        with Statements(clinic.database) as statements:
            await clinic.tell_at_once(*events)
        counted.append(statements.texts)
    assert len(counted[0]) == len(counted[1]) <= 11, counted[1]
    [made] = await clinic.rows("SELECT count(*) AS tasks, (SELECT count(*) FROM check_in) AS check_ins FROM care_task")
    assert made == {"tasks": 52, "check_ins": 104}


@pytest.mark.parametrize("kind", [infusions.InfusionNotDone, infusions.InfusionNoShow])
async def test_a_visit_without_an_infusion_is_one_coordinators_task(clinic: Clinic, kind: type[infusions.InfusionEvent]) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(kind), visit.told(kind))
    items = await clinic.items(visit)
    assert {code: row["status"] for code, row in items.items()} == {"rebook": "requested"}
    assert at(items["rebook"], "due_at") == datetime(2026, 11, 24, 14, 0, tzinfo=UTC)


async def test_a_cancelled_visit_is_rebooked_and_says_why(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionScheduled, 1, scheduled_at=clinic.clock.now()))
    await clinic.tell(visit.told(infusions.InfusionCancelled, 2, cancelled_by="patient"))
    rebook = (await clinic.items(visit))["rebook"]
    assert (rebook["reason"], rebook["facts"]) == ("no-infusion", {"state": "cancelled"})


async def test_an_infusion_that_was_stopped_with_nothing_given_is_only_rebooked(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionStoppedEarly, drug_given=False, first_of_course=False))
    assert await clinic.states(visit) == {"rebook": "requested"}


async def test_a_stopped_infusion_is_called_about_on_the_same_evening(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionStoppedEarly))
    call = (await clinic.items(visit))["same-evening-call"]
    assert (call["priority"], at(call, "due_at")) == ("urgent", datetime(2026, 11, 24, 1, 0, tzinfo=UTC))


async def test_leaving_against_advice_is_a_clinicians_work_at_once(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionLeftAgainstAdvice))
    task = (await clinic.items(visit))["left-against-advice"]
    assert (task["priority"], at(task, "due_at")) == ("stat", clinic.clock.now() + timedelta(minutes=30))


async def test_after_a_transfer_a_person_asks_in_place_of_the_first_check_in(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionTransferred))
    items = await clinic.items(visit)
    assert items.keys() == {"integration-session", "staff-check-in", "C72"}
    assert items["staff-check-in"]["details"] == {"code": "C24"}


async def test_a_late_entry_lists_what_is_past_and_leaves_one_call(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(pump_ended_at=clinic.clock.now() - timedelta(hours=40)))
    items = await clinic.items(visit)
    assert {code: row["status"] for code, row in items.items()} == {
        "integration-session": "requested",
        "C24": "cancelled",
        "C72": "planned",
        "catch-up-call": "requested",
    }
    assert items["C24"]["ended_reason"] == "past-due-at-entry"
    [covered] = items["catch-up-call"]["details"]["items"]
    assert (covered["code"], covered["reason"], covered["id"]) == ("C24", "past-due-at-entry", str(items["C24"]["check_in_id"]))
    assert items["catch-up-call"]["priority"] == "urgent"


async def test_an_entry_of_last_month_has_its_whole_set_cancelled_and_one_call(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(pump_ended_at=clinic.clock.now() - timedelta(days=30)))
    states = await clinic.states(visit)
    assert states == dict.fromkeys(FULL_SET, "cancelled") | {"catch-up-call": "requested"}


async def test_a_protocol_that_is_not_known_is_followed_by_the_default_and_said_so(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(protocol_code="house-rules", protocol_version=3))
    [plan] = await clinic.rows("SELECT * FROM plan WHERE infusion_id = :id", id=visit.infusion_id)
    assert (plan["protocol_code"], plan["asked_protocol"]) == ("default", "house-rules-v3")
    assert await clinic.states(visit) == FULL_SET


async def test_work_of_another_clinic_stays_there(clinic: Clinic, open_clinic: object) -> None:
    assert callable(open_clinic)
    other: Clinic = await open_clinic()
    visit = clinic.visit()
    await clinic.tell(visit.told())
    assert await other.rows("SELECT * FROM care_task") == []
    assert await other.rows("SELECT * FROM task_history") == []
