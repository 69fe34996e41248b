"""C72 gives way to the next infusion, whose own check-ins ask the same, and is asked after all when that one does not count."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.followup.app import subscriptions
from services.followup.checkins.queries import get_check_in
from services.followup.checkins.work import overdue_task, review_task, telephone_task
from services.followup.completeness.commands import Patience, compare
from services.followup.plans.entry_files import shipped_lists
from services.followup.plans.means import Means
from services.followup.plans.pinned import Pinned
from services.followup.plans.stored import CoverKind
from services.followup.sessions_client import EndedInfusion
from services.followup.tasks import commands as tasks
from services.followup.tasks.policy import shipped_policy
from shared.dispatch import dispatch
from shared.events import Delivery, Event
from shared.events import sessions as infusions
from tests.followup.clinic import Clinic, Json, Statements, Visit, a_worry, at

HOUR = timedelta(hours=1)
STARTED, AMENDED, VOID = infusions.InfusionStarted, infusions.InfusionAmended, infusions.InfusionEnteredInError


async def infused(clinic: Clinic, kind: type[infusions.InfusionEvent] = infusions.InfusionCompleted, **facts: Any) -> Visit:
    """A patient whose first infusion ended this minute."""
    visit = clinic.visit()
    await clinic.tell(visit.told(kind, pump_ended_at=clinic.clock.now(), **facts))
    return visit


def next_of(visit: Visit) -> Visit:
    """The same patient's next infusion in the same course."""
    return Visit(visit.clock, patient_id=visit.patient_id, course_id=visit.course_id)


def started(visit: Visit, **facts: Any) -> Event:
    return visit.told(STARTED, 3, **{"started_at": visit.clock.now(), **facts})


async def begun(clinic: Clinic, first: Visit, after: timedelta = 48 * HOUR) -> Visit:
    """The next infusion, started so long after the first."""
    await clinic.pass_time(after)
    following = next_of(first)
    await clinic.tell(started(following))
    return following


async def c72(clinic: Clinic, visit: Visit) -> Json:
    return (await clinic.items(visit))["C72"]


async def armed(clinic: Clinic, visit: Visit) -> list[str]:
    """The kinds of timers that C72 of this infusion still has."""
    rows = await clinic.rows(
        "SELECT kind FROM platform.timer WHERE subject_id = :id AND state = 'armed' ORDER BY kind",
        id=(await c72(clinic, visit))["check_in_id"],
    )
    return [row["kind"] for row in rows]


async def test_c72_gives_way_to_an_infusion_that_starts_before_it_is_due_and_the_rest_stays(clinic: Clinic) -> None:
    first = await infused(clinic)
    await begun(clinic, first, 12 * HOUR)
    assert await clinic.states(first) == {"integration-session": "requested", "C24": "planned", "C72": "superseded"}
    assert (await c72(clinic, first))["ended_reason"] == "next-infusion"
    assert await armed(clinic, first) == []
    await clinic.pass_time(90 * HOUR)
    after = await c72(clinic, first)
    assert after["status"] == "superseded"
    about_it = {"id": after["check_in_id"]}
    assert await clinic.rows("SELECT 1 FROM message WHERE check_in_id = :id", **about_it) == []
    assert await clinic.rows("SELECT 1 FROM care_task WHERE focus_id = :id", **about_it) == []


async def test_what_gave_way_is_listed_with_its_reason(clinic: Clinic) -> None:
    first = await infused(clinic)
    await begun(clinic, first)
    [plan] = await clinic.rows("SELECT plan_id FROM plan WHERE infusion_id = :id", id=first.infusion_id)
    shown = (await clinic.get(f"plans/{plan['plan_id']}")).json()
    assert [(item["status"], item["reason"]) for item in shown["items"] if item["code"] == "C72"] == [("superseded", "next-infusion")]


@pytest.mark.parametrize(("before_due", "status"), [(timedelta(seconds=1), "superseded"), (timedelta(0), "open")])
async def test_an_infusion_that_starts_when_c72_is_due_replaces_nothing(clinic: Clinic, before_due: timedelta, status: str) -> None:
    first = await infused(clinic)
    await clinic.pass_time(71 * HOUR)
    await clinic.tell(started(next_of(first), started_at=at(await c72(clinic, first), "due_at") - before_due))
    assert (await c72(clinic, first))["status"] == status


async def test_a_visit_that_never_starts_replaces_nothing(clinic: Clinic) -> None:
    first = await infused(clinic)
    following = next_of(first)
    await clinic.pass_time(HOUR)
    await clinic.tell(following.told(infusions.InfusionScheduled, 1, scheduled_at=clinic.clock.now()))
    await clinic.tell(following.told(infusions.InfusionNoShow, 2))
    assert (await c72(clinic, first))["status"] == "planned"


async def test_another_patients_infusion_replaces_nothing(clinic: Clinic) -> None:
    first = await infused(clinic)
    await begun(clinic, await infused(clinic))
    assert (await c72(clinic, first))["status"] == "planned"


async def test_a_start_that_is_told_again_or_with_the_end_before_it_changes_nothing_more(clinic: Clinic) -> None:
    first = clinic.visit()
    following = next_of(first)
    now = clinic.clock.now()
    start = started(following, started_at=now - HOUR)
    await clinic.tell_at_once(first.told(pump_ended_at=now - 30 * HOUR), start)
    before = await c72(clinic, first)
    assert before["status"] == "superseded"
    await clinic.tell(start, start)
    assert await c72(clinic, first) == before


async def test_an_end_whose_start_never_came_replaces_as_the_start_would_have(clinic: Clinic) -> None:
    first = await infused(clinic)
    await clinic.pass_time(48 * HOUR)
    following = next_of(first)
    await clinic.tell(following.told(pump_ended_at=clinic.clock.now(), first_of_course=False))
    assert (await c72(clinic, first))["status"] == "superseded"
    assert (await clinic.states(following))["C72"] == "planned"


async def test_an_infusion_that_is_entered_after_the_next_one_has_started_gives_way_at_once(clinic: Clinic) -> None:
    first = clinic.visit()
    ended_at = clinic.clock.now()
    await begun(clinic, first)
    await clinic.tell(first.told(pump_ended_at=ended_at))
    assert (await c72(clinic, first))["status"] == "superseded"


async def test_after_an_infusion_that_was_stopped_c72_is_always_asked(clinic: Clinic) -> None:
    first = await infused(clinic, infusions.InfusionStoppedEarly)
    await begun(clinic, first)
    assert (await c72(clinic, first))["status"] == "planned"


async def test_what_is_answered_stays_answered(clinic: Clinic) -> None:
    first = await infused(clinic)
    await clinic.pass_time(61 * HOUR)
    async with clinic.database.transaction(clinic.clinic_id) as db:
        statement = "UPDATE check_in SET status = 'submitted', submitted_at = now() WHERE infusion_id = :id AND code = 'C72'"
        await db.execute(text(statement), {"id": first.infusion_id})
    await clinic.tell(started(next_of(first)))
    assert (await c72(clinic, first))["status"] == "submitted"


async def test_what_an_overdue_one_has_raised_outlasts_it(clinic: Clinic) -> None:
    first = await infused(clinic)
    await clinic.pass_time(73 * HOUR)
    now, asked = clinic.clock.now(), await c72(clinic, first)
    assert asked["status"] == "overdue"
    async with clinic.database.transaction(clinic.clinic_id) as db:
        check_in = await get_check_in(db, asked["check_in_id"])
        await tasks.add(db, [review_task(check_in, [a_worry()], now, now + HOUR, number=1)])
    await clinic.tell(started(next_of(first), started_at=clinic.clock.now() - 2 * HOUR))
    states = await clinic.states(first)
    assert (states["C72"], states["safety-review"]) == ("superseded", "requested")
    assert await armed(clinic, first) == []


async def test_a_record_told_again_or_amended_makes_no_second_c72_of_one_that_gave_way(clinic: Clinic) -> None:
    first = clinic.visit()
    ended_at = clinic.clock.now()
    await clinic.tell(first.told(pump_ended_at=ended_at))
    await begun(clinic, first)
    await clinic.tell(first.told(pump_ended_at=ended_at), first.told(AMENDED, 5, pump_ended_at=ended_at - HOUR))
    assert [row["status"] for row in await clinic.rows(_C72S, id=first.infusion_id)] == ["superseded"]


async def test_the_audit_misses_nothing_where_c72_gave_way(clinic: Clinic) -> None:
    first = await infused(clinic)
    ended_at = clinic.clock.now()
    await begun(clinic, first)
    facts = {"infusion_id": first.infusion_id, "patient_id": first.patient_id, "version": 4, "outcome": "completed", "drug_given": True}
    ended = EndedInfusion.model_validate({**facts, "pump_ended_at": ended_at, "ended_at": ended_at})
    async with clinic.database.transaction(clinic.clinic_id) as db:
        assert (await compare(db, [ended], clinic.clock.now(), Patience())).gaps == 0


def not_counting(following: Visit, why: str) -> Event:
    """What tells that the next infusion does not count, or not for this C72."""
    now = following.clock.now()
    match why:
        case "void":
            return following.told(VOID, 5)
        case "nothing given":
            return following.told(infusions.InfusionStoppedEarly, 5, drug_given=False, started_at=now, pump_ended_at=now)
        case _:
            return following.told(started_at=now + 30 * HOUR, pump_ended_at=now + 31 * HOUR)


@pytest.mark.parametrize("why", ["void", "nothing given", "started later"])
async def test_when_the_next_infusion_does_not_count_c72_is_asked_after_all(clinic: Clinic, why: str) -> None:
    first = await infused(clinic)
    before = await c72(clinic, first)
    following = await begun(clinic, first)
    await clinic.tell(not_counting(following, why))
    after = await c72(clinic, first)
    assert (after["status"], after["ended_reason"], after["due_at"]) == ("planned", None, before["due_at"])
    await clinic.pass_time(12 * HOUR)
    assert (await c72(clinic, first))["status"] == "open"
    messages = await clinic.rows("SELECT status FROM message WHERE check_in_id = :id", id=after["check_in_id"])
    assert [row["status"] for row in messages] == ["queued"]


async def test_when_the_first_infusion_turns_out_to_have_been_stopped_c72_is_asked_after_all(clinic: Clinic) -> None:
    first = clinic.visit()
    ended_at = clinic.clock.now()
    await clinic.tell(first.told(pump_ended_at=ended_at))
    await begun(clinic, first)
    await clinic.tell(first.told(AMENDED, 5, outcome="stopped-early", pump_ended_at=ended_at + HOUR))
    after = await c72(clinic, first)
    assert (after["status"], after["due_at"]) == ("planned", ended_at + 73 * HOUR)


async def test_a_third_infusion_still_stands_when_the_second_does_not(clinic: Clinic) -> None:
    first = await infused(clinic)
    second = await begun(clinic, first, 24 * HOUR)
    await begun(clinic, first, 24 * HOUR)
    await clinic.tell(second.told(VOID, 5))
    assert (await c72(clinic, first))["status"] == "superseded"


async def test_who_had_been_asked_already_is_telephoned_since_the_link_is_dead(clinic: Clinic) -> None:
    first = await infused(clinic)
    following = await begun(clinic, first, 61 * HOUR)
    await clinic.tell(following.told(VOID, 5), following.told(VOID, 5))
    after = await c72(clinic, first)
    assert after["status"] == "open"
    calls = await clinic.rows("SELECT kind, due_at, status FROM care_task WHERE focus_id = :id", id=after["check_in_id"])
    assert [tuple(row.values()) for row in calls] == [("staff-check-in", after["due_at"], "requested")]
    assert await armed(clinic, first) == ["check-in-expire", "check-in-overdue"]


async def test_when_its_time_has_passed_meanwhile_one_call_catches_up(clinic: Clinic) -> None:
    first = await infused(clinic)
    following = await begun(clinic, first)
    await clinic.pass_time(25 * HOUR)
    void = following.told(VOID, 5)
    await clinic.tell(void, void)
    after = await c72(clinic, first)
    assert (after["status"], after["ended_reason"]) == ("cancelled", "past-due-at-entry")
    [call] = await clinic.rows("SELECT * FROM care_task WHERE kind = 'catch-up-call' AND patient_id = :id", id=first.patient_id)
    assert (call["status"], call["priority"], call["due_at"]) == ("requested", "urgent", clinic.clock.now() + 4 * HOUR)
    assert [entry["id"] for entry in call["details"]["items"]] == [str(after["check_in_id"])]


async def calls_about(clinic: Clinic, visit: Visit) -> list[tuple[str, str]]:
    """Every call about C72 of this infusion with its status, in the order in which they were made."""
    statement = "SELECT kind, status FROM care_task WHERE focus_id = :id ORDER BY created_at, ordinal, attempt"
    rows = await clinic.rows(statement, id=(await c72(clinic, visit))["check_in_id"])
    return [(row["kind"], row["status"]) for row in rows]


@pytest.mark.parametrize("kind", ["check-in-overdue-call", "staff-check-in"])
async def test_no_second_call_catches_up_where_somebody_calls_about_it_anyhow(clinic: Clinic, kind: str) -> None:
    first = await infused(clinic)
    await clinic.pass_time(73 * HOUR)
    now = clinic.clock.now()
    async with clinic.database.transaction(clinic.clinic_id) as db:
        check_in = await get_check_in(db, (await c72(clinic, first))["check_in_id"])
        # A clinic may want the call about one that is overdue sooner than a day after the due time, as the shipped policy has it.
        calls = {
            task.kind: task for task in (overdue_task(check_in, now, now + HOUR, sent=True), telephone_task(check_in, now, "link-dead"))
        }
        await tasks.add(db, [calls[kind]])
    following = next_of(first)
    await clinic.tell(started(following, started_at=now - 2 * HOUR))
    assert (await c72(clinic, first))["status"] == "superseded"
    await clinic.tell(following.told(VOID, 5))
    assert (await c72(clinic, first))["status"] == "cancelled"
    assert await calls_about(clinic, first) == [(kind, "requested")]


async def test_no_second_call_is_made_where_the_link_was_dead_before_it_gave_way(clinic: Clinic) -> None:
    first = await infused(clinic)
    await clinic.pass_time(61 * HOUR)
    async with clinic.database.transaction(clinic.clinic_id) as db:
        check_in = await get_check_in(db, (await c72(clinic, first))["check_in_id"])
        await tasks.add(db, [telephone_task(check_in, clinic.clock.now(), "link-dead")])
    following = await begun(clinic, first, HOUR)
    assert await calls_about(clinic, first) == [("staff-check-in", "requested")]
    await clinic.tell(following.told(VOID, 5))
    assert (await c72(clinic, first))["status"] == "open"
    assert await calls_about(clinic, first) == [("staff-check-in", "requested")]


async def test_the_call_of_one_taken_up_ends_when_it_gives_way_again_and_is_made_anew_when_it_is_taken_up_again(clinic: Clinic) -> None:
    first = await infused(clinic)
    second = await begun(clinic, first, 61 * HOUR)
    await clinic.tell(second.told(VOID, 5))
    third = await begun(clinic, first, HOUR)
    assert (await c72(clinic, first))["status"] == "superseded"
    assert await calls_about(clinic, first) == [("staff-check-in", "cancelled")]
    await clinic.tell(third.told(VOID, 5))
    assert (await c72(clinic, first))["status"] == "open"
    assert await calls_about(clinic, first) == [("staff-check-in", "cancelled"), ("staff-check-in", "requested")]


async def test_an_attempt_that_reached_nobody_does_not_stand_for_the_next_one_that_was_called_off(clinic: Clinic) -> None:
    first = await infused(clinic)
    second = await begun(clinic, first, 61 * HOUR)
    await clinic.tell(second.told(VOID, 5))
    task_id = (await clinic.items(first))["staff-check-in"]["task_id"]
    await clinic.post(f"tasks/{task_id}/claim")
    retry_at = (clinic.clock.now() + 2 * HOUR).isoformat()
    done = await clinic.post(f"tasks/{task_id}/complete", {"outcome": "no-answer", "retry_at": retry_at})
    assert done.status_code == 200, done.text
    third = await begun(clinic, first, HOUR)
    await clinic.tell(third.told(VOID, 5))
    completed, called_off, anew = await calls_about(clinic, first)
    assert (completed[1], called_off[1], anew) == ("completed", "cancelled", ("staff-check-in", "requested"))


async def test_of_a_dose_that_was_nothing_and_then_was_not_only_the_c72_that_was_made_anew_is_asked_after_all(clinic: Clinic) -> None:
    first = await infused(clinic)
    ended_at = clinic.clock.now()
    following = await begun(clinic, first, HOUR)
    for version, given in ((5, False), (6, True)):
        await clinic.tell(first.told(AMENDED, version, drug_given=given, pump_ended_at=ended_at))
    await clinic.tell(following.told(VOID, 5))
    assert [row["status"] for row in await clinic.rows(_C72S, id=first.infusion_id)] == ["planned"], "the same is asked again"


async def test_that_call_is_due_by_the_protocol_of_the_plan_not_by_the_newest(clinic: Clinic) -> None:
    [ours] = shipped_lists({"C24", "C72", "WK"})
    call = ours.covers[CoverKind.CATCH_UP]
    assert call.due
    slower = call.model_copy(update={"due": call.due.model_copy(update={"hours": 48})})
    newer = ours.model_copy(update={"version": ours.version + 1, "covers": {**ours.covers, CoverKind.CATCH_UP: slower}})
    first = await infused(clinic)
    following = await begun(clinic, first)
    await clinic.pass_time(25 * HOUR)
    handlers = subscriptions(Means(clinic.clock, shipped_policy(), Pinned([ours, newer])))
    async with clinic.database.transaction() as db:
        await dispatch(db, handlers, [Delivery(following.told(VOID, 5), uuid4(), clinic.clinic_id, 1)])
    [made] = await clinic.rows("SELECT due_at FROM care_task WHERE kind = 'catch-up-call' AND patient_id = :id", id=first.patient_id)
    assert made["due_at"] == clinic.clock.now() + timedelta(hours=call.due.hours)


async def test_nobody_is_asked_after_all_who_has_left(clinic: Clinic) -> None:
    first = await infused(clinic)
    following = await begun(clinic, first)
    await clinic.patient(first, status="withdrawn", version=2)
    await clinic.tell(following.told(VOID, 5))
    assert (await c72(clinic, first))["status"] == "cancelled", "for what holds now"
    assert await clinic.rows("SELECT 1 FROM care_task WHERE kind IN ('catch-up-call', 'staff-check-in')") == []


async def test_a_correction_asks_nobody_after_all_who_has_died_long_after(clinic: Clinic) -> None:
    first = await infused(clinic)
    await begun(clinic, first)
    await clinic.pass_time(11 * 24 * HOUR)  # A plan that old is not revoked by a death.
    await clinic.patient(first, status="deceased", version=2)
    await clinic.tell(first.told(AMENDED, 5, pump_ended_at=clinic.clock.now()))
    assert (await c72(clinic, first))["status"] == "cancelled", "for what holds now"


@pytest.mark.parametrize(("after_expiry", "calls"), [(timedelta(0), 1), (timedelta(seconds=1), 0), (timedelta(days=11), 0)])
@pytest.mark.parametrize("why", ["void", "nothing given"])
async def test_nobody_is_called_about_a_c72_that_would_have_expired(clinic: Clinic, why: str, after_expiry: timedelta, calls: int) -> None:
    first = await infused(clinic)
    following = await begun(clinic, first)
    told = not_counting(following, why)
    await clinic.pass_time(at(await c72(clinic, first), "expires_at") + after_expiry - clinic.clock.now())
    await clinic.tell(told)
    assert (await c72(clinic, first))["status"] == ("cancelled" if calls else "superseded")
    catching_up = "SELECT 1 FROM care_task WHERE kind = 'catch-up-call' AND patient_id = :id"
    assert len(await clinic.rows(catching_up, id=first.patient_id)) == calls


async def test_an_infusion_whose_start_was_not_kept_before_the_upgrade_gives_way_too(clinic: Clinic) -> None:
    first = await infused(clinic)
    async with clinic.database.transaction(clinic.clinic_id) as db:
        await db.execute(text("UPDATE infusion SET started_at = NULL WHERE infusion_id = :id"), {"id": first.infusion_id})
    await begun(clinic, first)
    assert (await c72(clinic, first))["status"] == "superseded"


async def test_the_starts_of_twenty_take_as_many_statements_as_those_of_two(clinic: Clinic) -> None:
    counted = []
    for number in (2, 20):
        firsts = [await infused(clinic) for _ in range(number)]
        starts = [started(next_of(first), started_at=clinic.clock.now() + HOUR) for first in firsts]
        with Statements(clinic.database) as statements:
            await clinic.tell_at_once(*starts)
        assert {(await c72(clinic, first))["status"] for first in firsts} == {"superseded"}
        counted.append(len(statements.texts))
    assert counted[0] == counted[1]


_C72S = "SELECT status FROM check_in WHERE infusion_id = :id AND code = 'C72' ORDER BY ordinal"
