"""The shipped protocol as a list asks what the protocol of today asks, at the same times; a faulty list is refused with line and reason."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.followup.plans.anchors import OF_COURSE, OF_PATIENT, OF_VISIT
from services.followup.plans.entries import AnchorName
from services.followup.plans.entry_files import ProtocolRefused, read_protocol, shipped_lists, shipped_text
from services.followup.plans.facts import Absence, Cause, Facts, Outcome, Span, Visit, VisitState
from services.followup.plans.pinned import Pinned
from services.followup.plans.plan import plan
from services.followup.plans.protocol import shipped_protocols
from services.followup.plans.rules import check_ins_after, course_day_0, office_task, safety_offer, tasks_after, weekly_check_in
from services.followup.plans.slots import CheckInSlot, EndedInfusion, InfusionOutcome, Kind, TaskSlot
from services.followup.plans.wanted import Times, Wanted
from services.followup.reasons import Reason, ReasonCode

OLD = shipped_protocols().get("default", 1)
NEW = Pinned(shipped_lists({"C24", "C72", "WK"}))
ZONES = ["America/New_York", "America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "UTC"]
PATIENT, INFUSION, COURSE = (UUID(int=number) for number in (1, 2, 3))

minutes = st.integers(0, 2 * 366 * 24 * 60).map(lambda minute: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute))


def wanted_after(infusion: EndedInfusion, now: datetime, *absences: Absence) -> Mapping[str, Wanted]:
    """What the list wants after this infusion, by code."""
    visit = Visit(
        INFUSION, COURSE, VisitState.ENDED, None, infusion.started_at, infusion.pump_ended_at, infusion.discharged_at,
        Outcome(infusion.outcome.value), infusion.drug_given,
    )  # fmt: skip
    facts = Facts(PATIENT, infusion.zone, infusion.zone, absences=absences, visits=(visit,))
    wanted = plan(facts, NEW, now).wanted.values()
    return {f"{item.key.code} {item.key.number}" if item.key.code == "WK" else item.key.code: item for item in wanted}


def infusion(ended_at: datetime, zone: str, outcome: InfusionOutcome, drug_given: bool = True) -> EndedInfusion:
    out = ended_at + timedelta(hours=5)
    return EndedInfusion(INFUSION, ZoneInfo(zone), outcome, drug_given, ended_at - timedelta(minutes=40), ended_at, discharged_at=out)


def times_of_task(slot: TaskSlot) -> Times:
    return Times(slot.window_starts_at, slot.due_at, slot.expires_at)


def times_of_check_in(slot: CheckInSlot) -> Times:
    return Times(slot.opens_at, slot.due_at, slot.expires_at)


@given(minutes, st.sampled_from(ZONES), st.sampled_from(InfusionOutcome), st.booleans())
def test_the_list_wants_after_an_infusion_what_todays_protocol_makes(
    ended_at: datetime, zone: str, outcome: InfusionOutcome, drug: bool
) -> None:
    of = infusion(ended_at, zone, outcome, drug)
    tasks = {"C24" if slot.stands_in_for else slot.kind.value: slot for slot in tasks_after(of, OLD, ended_at)}
    expected = {code: (times_of_task(slot), slot.priority, True) for code, slot in tasks.items()}
    expected |= {slot.code: (times_of_check_in(slot), "routine", False) for slot in check_ins_after(of, OLD)}
    weeks = range(1, 3) if drug else ()
    slots = [weekly_check_in(course_day_0(of), week, of.zone, OLD) for week in weeks]
    expected |= {
        f"WK {slot.ordinal}": (times_of_check_in(slot), "routine", False)
        for slot in slots
        if slot.opens_at <= ended_at + timedelta(days=14)
    }
    if not drug:
        slot = office_task(Kind.REBOOK, Reason(ReasonCode.NOTHING_GIVEN), OLD, ended_at, of.zone)
        expected["rebook"] = (times_of_task(slot), slot.priority, True)
    assert {code: (item.times, item.priority, item.is_task) for code, item in wanted_after(of, ended_at).items()} == expected


@given(minutes, st.sampled_from(ZONES), st.integers(0, 80))
def test_the_offer_of_a_call_to_who_has_left_is_due_as_today(ended_at: datetime, zone: str, hours: int) -> None:
    now = ended_at + timedelta(hours=hours)
    left = Absence(Cause.WITHDRAWAL, Span(now), 4)
    today = safety_offer(ended_at, Reason(ReasonCode.PATIENT_LEFT), OLD, now, ordinal=4)
    item = wanted_after(infusion(ended_at, zone, InfusionOutcome.COMPLETED), now, left).get("safety-offer-call")
    assert (item and (item.times, item.priority)) == (today and (times_of_task(today), today.priority))


def test_an_anchor_keeps_its_pinned_version_and_what_is_not_known_as_a_list_is_followed_by_the_default() -> None:
    later = read_protocol(shipped_text("default-v2").replace("version: 2", "version: 3", 1), {"C24", "C72", "WK"})
    protocols = Pinned([NEW.default, later], {INFUSION: ("default", 2), COURSE: ("default", 1)})
    assert protocols.of(INFUSION, ("default", 3)).version == 2
    assert protocols.of(PATIENT, ("default", 2)).version == 2
    assert protocols.of(COURSE, ("default", 3)).version == 3


@pytest.mark.parametrize(
    ("right", "wrong", "line", "reason"),
    [
        ("- code: C72\n", "- code: C24\n", "- code: C24\n", "code C24 stands twice"),
        ("  form: C72\n", "  form: C73\n", "  form: C73\n", "no form C73"),
        ("  form: C72\n", "", "- code: C72\n", "has a form"),
        ("unless: {stands: [C24, C72]}", "unless: {stands: [C24, C27]}", "  unless: {stands: [C24, C27]}", "unknown code C27"),
        ("{to: next-infusion, before: due,", "{to: END, on: same-day,", "  gives_way: {to: END", "unknown code END"),
        ("anchor: course-day-0", "anchor: course-day-1", "  anchor: course-day-1", "'course-day-0'"),
        ("due: {from: opens, hours: 24", "due: {from: opened, hours: 24", "  due: {from: opened", "'opens'"),
        ("due: {from: opens, hours: 24", "due: {from: opens, hour: 24", "  due: {from: opens, hour: 24", "Extra inputs are not permitted"),
        ("due: {hours: 72, source: \"as above\"}", "due: {hours: 72}", "- code: integration-session", "without a source: due"),
        ("repeat: {days: 7,", "repeat: {days: 0,", "  repeat: {days: 0,", "at least a day"),
        ("[death, transfer, withdrawal, consent-revoked]", "[death]", "  called-off-review:", "has to stay after"),
        ("items:", "items: [", "covers:", "expected"),
    ],
)  # fmt: skip
def test_a_faulty_list_is_refused_with_line_and_reason(right: str, wrong: str, line: str, reason: str) -> None:
    text = shipped_text("default-v2")
    assert right in text
    faulty = text.replace(right, wrong, 1)
    with pytest.raises(ProtocolRefused) as refused:
        read_protocol(faulty, {"C24", "C72", "WK"})
    said = {fault: number for number, fault in refused.value.faults if reason in fault}
    assert said, refused.value
    assert any(faulty.splitlines()[number - 1].startswith(line.rstrip()) for number in said.values()) or "[" in wrong, said


def test_every_name_of_an_anchor_is_a_function_over_facts() -> None:
    assert {*OF_VISIT, *OF_COURSE, *OF_PATIENT} == set(get_args(AnchorName))
