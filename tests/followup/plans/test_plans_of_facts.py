"""From facts to what is wanted, and from there to changes: the examples and the traps of the design, one by one."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import FrameType
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.followup.plans.changes import Change, CoverChange, ItemChange, Step
from services.followup.plans.facts import Absence, Cause, Course, Facts, Outcome, Span, Visit, VisitState
from services.followup.plans.plan import plan
from services.followup.plans.reconcile import reconcile
from services.followup.plans.stored import CoverKind, Items
from services.followup.plans.wanted import Hanging, Key, Plan, State, Wanted
from tests.followup.plans.every_order.world import DENVER, T0, World, compare, go_on, protocols

PATIENT, COURSE, FIRST, SECOND = (UUID(int=number) for number in (5, 9, 1, 2))
LOS_ANGELES = ZoneInfo("America/Los_Angeles")


def denver(text: str) -> datetime:
    return datetime.fromisoformat(f"2027-03-{text}").replace(tzinfo=DENVER).astimezone(UTC)


def visit(number: int = 1, ended_at: datetime = T0, outcome: Outcome = Outcome.COMPLETED, state: VisitState = VisitState.ENDED) -> Visit:
    started_at = ended_at - timedelta(minutes=40)
    return Visit(UUID(int=number), COURSE, state, None, started_at, ended_at, ended_at + timedelta(hours=1), outcome, drug_given=True)


def facts_of(*visits: Visit, course: Course | None = None, absences: Sequence[Absence] = (), zone: ZoneInfo = DENVER) -> Facts:
    return Facts(PATIENT, zone, DENVER, courses=(course,) if course else (), absences=tuple(absences), visits=visits)


def planned(facts: Facts, now: datetime = T0) -> Plan:
    return plan(facts, protocols(), now)


def item(facts: Facts, code: str, number: int = 0, *, anchor: UUID = FIRST, now: datetime = T0) -> Wanted:
    return planned(facts, now).wanted[Key(anchor, code, number)]


def numbers(wanted: Plan, code: str) -> list[int]:
    return sorted(key.number for key in wanted.wanted if key.code == code)


def steps(changes: Sequence[Change]) -> set[tuple[str, str]]:
    named = ((change, change.after.key.code if isinstance(change, ItemChange) else change.after.kind) for change in changes)
    return {(change.step.value, name) for change, name in named}


def world_of(facts: Facts, now: datetime) -> World:
    return compare(World(now, facts), by_time=False).after


def later(world: World, until: datetime) -> World:
    return go_on(world, until)[-1].after


def with_facts(world: World, facts: Facts) -> tuple[World, Sequence[Change]]:
    run = compare(replace(world, facts=facts), by_time=False)
    return run.after, run.changes


def test_the_next_infusion_takes_over_and_a_voided_one_gives_back_by_telephone_then_by_one_call_then_not_at_all() -> None:
    world = later(world_of(facts_of(visit()), T0), denver("06T09:00"))
    begun = Visit(SECOND, COURSE, VisitState.STARTED, started_at=world.now)
    world, changes = with_facts(world, facts_of(visit(), begun))
    assert ("supersede", "C72") in steps(changes)
    void = facts_of(visit(), replace(begun, state=VisitState.VOID))
    at_ten, changes = with_facts(later(world, denver("06T10:00")), void)
    assert steps(changes) == {("restore", "C72"), ("make", CoverKind.TELEPHONE)}
    assert [cover.due_at for cover in at_ten.covers if cover.kind is CoverKind.TELEPHONE] == [denver("06T11:30")]
    _, changes = with_facts(later(world, denver("06T13:00")), void)
    assert steps(changes) == {("miss", "C72"), ("make", CoverKind.CATCH_UP)}
    _, changes = with_facts(later(world, denver("08T09:00")), void)
    assert ("miss", "C72") not in steps(changes)


def test_what_is_heard_of_late_is_one_call_and_due_times_that_would_have_passed_are_kept_and_reviewed_once() -> None:
    world = world_of(facts_of(visit()), denver("05T18:00"))
    assert {one.key.code: one.state for one in world.stored} == {
        "C24": State.NOT_ASKED, "C72": State.PLANNED, "integration-session": State.PLANNED,
    }  # fmt: skip
    assert [(cover.kind, cover.due_at) for cover in world.covers] == [(CoverKind.CATCH_UP, denver("05T22:00"))]
    world, changes = with_facts(world, facts_of(visit(ended_at=denver("02T11:30"))))
    assert {change.after.times.due_at for change in changes if isinstance(change, ItemChange) and change.step is Step.KEEP_DUE} == {
        denver("06T11:30")
    }
    reviews = [change.after for change in changes if isinstance(change, CoverChange)]
    assert [(cover.kind, {key.code for key in cover.covers}) for cover in reviews] == [
        (CoverKind.DUE_REVIEW, {"C72", "integration-session"})
    ]


def test_weeks_are_named_14_days_ahead_and_made_when_they_open() -> None:
    wanted = planned(facts_of(visit()), T0)
    assert numbers(wanted, "WK") == [1, 2]
    assert wanted.wake == denver("10T08:00")
    assert [change for change in reconcile(Items(), wanted, T0) if isinstance(change, ItemChange) and change.after.key.code == "WK"] == []


def test_a_day_0_that_moves_later_moves_a_week_that_is_asked_and_calls_nothing_off() -> None:
    world = later(world_of(facts_of(visit()), T0), denver("10T09:00"))
    world, changes = with_facts(world, facts_of(visit(ended_at=T0 + timedelta(days=2))))
    assert [(one.state, one.times.opens_at) for one in world.stored if one.key.code == "WK"] == [(State.ASKED, denver("12T08:00"))]
    assert ("move", "WK") in steps(changes)


def test_weeks_that_were_over_when_the_course_was_heard_of_are_in_the_one_call() -> None:
    world = world_of(facts_of(visit()), denver("27T12:00"))
    (call,) = (cover for cover in world.covers if cover.kind is CoverKind.CATCH_UP)
    assert {(key.code, key.number) for key in call.covers} >= {("WK", 1), ("WK", 2), ("WK", 3), ("C24", 0)}


def test_weeks_that_passed_while_a_patient_had_left_are_not_missed_and_those_of_a_departure_by_mistake_are() -> None:
    away = Absence(Cause.WITHDRAWAL, Span(denver("05T09:00"), denver("21T09:00")))
    assert numbers(planned(facts_of(visit(), absences=[away]), denver("22T09:00")), "WK") == [3, 4]
    assert numbers(planned(facts_of(visit()), denver("22T09:00")), "WK") == [1, 2, 3, 4]


def test_a_week_that_opened_before_the_course_ended_is_asked_and_none_after_it() -> None:
    ended = Course(COURSE, (Span(None, denver("18T12:00")),))
    wanted = planned(facts_of(visit(), course=ended), denver("18T13:00"))
    assert numbers(wanted, "WK") == [1, 2]
    assert wanted.gone[Hanging(COURSE, "WK")] == "course-ended"


def test_days_after_the_end_that_lie_before_a_late_closing_were_the_weeks() -> None:
    ended = facts_of(visit(), course=Course(COURSE, (Span(None, denver("12T12:00")),)))
    assert item(ended, "END", 1, anchor=COURSE, now=denver("18T00:00")).reason == "course-still-ran"
    assert item(ended, "END", 2, anchor=COURSE, now=denver("18T00:00")).is_open
    assert planned(facts_of(visit())).gone[Hanging(COURSE, "END")] == "course-goes-on"


def test_a_day_after_the_end_that_was_left_to_the_weeks_by_a_wrong_t0_is_called_about() -> None:
    """Only four happenings show it: the end was counted from an infusion three days too early."""
    ended = Course(COURSE, (Span(None, denver("12T12:00")),))
    wrong = facts_of(visit(ended_at=T0 - timedelta(days=1)), course=ended)
    world = later(world_of(wrong, denver("12T13:00")), denver("21T13:00"))
    assert {one.reason for one in world.stored if one.key == Key(COURSE, "END", 1)} == {"course-still-ran"}
    world, changes = with_facts(world, facts_of(visit(ended_at=T0 + timedelta(days=3)), course=ended))
    assert ("miss", "END") in steps(changes)


@pytest.mark.parametrize("cause", [Cause.DEATH, Cause.WITHDRAWAL, Cause.CONSENT_REVOKED])
def test_what_a_departure_leaves_is_as_the_protocol_says(cause: Cause) -> None:
    wanted = planned(facts_of(visit(), absences=[Absence(cause, Span(T0), 3)]))
    open_codes = {key.code for key, one in wanted.wanted.items() if one.is_open}
    assert open_codes == {
        Cause.DEATH: set(),
        Cause.WITHDRAWAL: {"safety-offer-call"},
        Cause.CONSENT_REVOKED: {"C24", "C72", "integration-session"},
    }[cause]  # fmt: skip
    assert wanted.wanted[Key(FIRST, "integration-session")].offered is (cause is Cause.CONSENT_REVOKED)


def test_whether_an_offer_is_made_is_judged_by_when_the_patient_left() -> None:
    left = facts_of(visit(), absences=[Absence(Cause.WITHDRAWAL, Span(T0 + timedelta(hours=71)), 3)])
    assert Key(PATIENT, "safety-offer-call", 3) in planned(left, T0 + timedelta(days=9)).wanted
    long_after = facts_of(visit(), absences=[Absence(Cause.WITHDRAWAL, Span(T0 + timedelta(hours=73)), 3)])
    assert Key(PATIENT, "safety-offer-call", 3) not in planned(long_after, T0 + timedelta(hours=73)).wanted
    assert ("make", "safety-offer-call") not in steps(reconcile(Items(), planned(left, T0 + timedelta(days=9)), T0 + timedelta(days=9)))


def test_a_zone_that_is_corrected_works_out_anew_what_is_planned() -> None:
    world = world_of(facts_of(visit()), T0)
    world, changes = with_facts(world, facts_of(visit(), zone=LOS_ANGELES))
    assert ("move", "C24") in steps(changes)
    assert [one.times.opens_at for one in world.stored if one.key.code == "C24"] == [denver("04T09:00")]


def test_after_enough_sessions_of_a_course_no_more_are_asked_for() -> None:
    course = Course(COURSE, sessions_needed=1)
    done = replace(facts_of(visit(), visit(2, T0 + timedelta(days=2)), course=course), done=frozenset({Key(FIRST, "integration-session")}))
    assert item(done, "integration-session").is_open
    assert item(done, "integration-session", anchor=SECOND).reason == "not-required"


@pytest.mark.parametrize("state", [VisitState.VOID, VisitState.DUPLICATE])
def test_a_record_that_is_void_or_held_neither_anchors_nor_takes_over(state: VisitState) -> None:
    wanted = planned(facts_of(visit(), visit(2, T0 + timedelta(days=2), state=state)))
    assert wanted.wanted[Key(FIRST, "C72")].is_open
    assert not [key for key in wanted.wanted if key.anchor_id == SECOND]


def test_after_a_transfer_a_person_asks_the_same_item() -> None:
    world = later(world_of(facts_of(visit()), T0), denver("04T09:00"))
    world, changes = with_facts(world, facts_of(visit(outcome=Outcome.TRANSFERRED)))
    assert ("hand-over", "C24") in steps(changes)
    world, changes = with_facts(world, facts_of(visit()))
    assert {("hand-over", "C24"), ("make", CoverKind.TELEPHONE)} <= steps(changes), "its link has left once"


def test_thirty_infusions_cost_thirty_times_one_and_not_thirty_times_thirty() -> None:
    one, thirty = (_calls(facts_of(*(visit(number, T0 + timedelta(days=number)) for number in range(count)))) for count in (1, 30))
    assert thirty < 35 * one


def _calls(facts: Facts) -> int:
    """How many functions are entered to work out the plan."""
    counted = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        plan(facts, protocols(), T0)
    finally:
        sys.setprofile(before)
    return counted
