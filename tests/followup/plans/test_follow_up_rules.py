"""What follows an infusion, and what does not: complete and countable whatever the case."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.followup.plans.protocol import Protocol, Protocols, shipped_protocols
from services.followup.plans.rules import follow_up, is_superseded, re_derive, third_day
from services.followup.plans.slots import PAST_DUE, CalledOff, CheckInSlot, EndedInfusion, FollowUp, InfusionOutcome
from services.followup.reasons import Reason, ReasonCode

PROTOCOL = shipped_protocols().default
ZONE = ZoneInfo("America/Chicago")
ENDED = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
LEFT = CalledOff("patient-withdrawn", frozenset({"left-against-advice", "safety-offer-call"}))
DEAD = CalledOff("patient-deceased", frozenset())
REVOKED = CalledOff("treatment-consent-revoked", frozenset({"integration-session"}), offered=frozenset({"integration-session"}))


def infusion(outcome: InfusionOutcome = InfusionOutcome.COMPLETED, *, drug_given: bool = True) -> EndedInfusion:
    return EndedInfusion(UUID(int=1), ZONE, outcome, drug_given, ENDED - timedelta(minutes=40), ENDED)


def told(hours_after: float = 1, *, of: EndedInfusion | None = None, called_off: CalledOff | None = None) -> FollowUp:
    """The follow-up as it is made so many hours after the pump's end."""
    return follow_up(of or infusion(), PROTOCOL, ENDED + timedelta(hours=hours_after), clinic_zone=ZONE, called_off=called_off)


def items(made: FollowUp) -> list[tuple[str, datetime, str | None]]:
    """Every item: name, due time, why it was not open from the start."""
    tasks = [(item.slot.name, item.slot.due_at, item.cancelled_because) for item in made.tasks]
    return tasks + [(item.slot.name, item.slot.due_at, item.cancelled_because) for item in made.check_ins]


def named(made: FollowUp) -> dict[str, str | None]:
    """Every item with why it was not open from the start."""
    return {name: reason for name, _, reason in items(made)}


@pytest.mark.parametrize(
    ("outcome", "names"),
    [
        ("completed", {"integration-session", "C24", "C72"}),
        ("stopped-early", {"integration-session", "C24", "C72", "same-evening-call"}),
        ("left-against-advice", {"integration-session", "C24", "C72", "left-against-advice"}),
        ("transferred", {"integration-session", "staff-check-in", "C72"}),
    ],
)
def test_every_outcome_with_drug_given_has_its_full_set(outcome: str, names: set[str]) -> None:
    assert named(told(of=infusion(InfusionOutcome(outcome)))) == dict.fromkeys(names)


def test_nothing_given_means_nothing_to_follow_but_the_patient_who_left() -> None:
    assert named(told(of=infusion(drug_given=False))) == {}
    left = infusion(InfusionOutcome.LEFT_AGAINST_ADVICE, drug_given=False)
    assert named(told(of=left)) == {"left-against-advice": None}


@pytest.mark.parametrize(
    ("hours", "past_due"),
    [
        (25, set()),
        (25.01, {"C24"}),
        (72, {"C24"}),
        (72.01, {"C24", "C72", "integration-session"}),
        (500, {"C24", "C72", "integration-session"}),
    ],
)
def test_a_late_entry_keeps_what_is_ahead_and_lists_what_is_past_under_one_call(hours: float, past_due: set[str]) -> None:
    made = named(told(hours))
    assert {name for name, reason in made.items() if reason == PAST_DUE} == past_due
    assert ("catch-up-call" in made) == bool(past_due)
    assert {"integration-session", "C24", "C72"} <= made.keys()


def test_for_the_dead_everything_is_cancelled_and_one_review_is_left() -> None:
    assert named(told(called_off=DEAD)) == {
        "integration-session": "patient-deceased",
        "C24": "patient-deceased",
        "C72": "patient-deceased",
        "cancellation-review": None,
    }


def test_for_who_has_left_everything_is_cancelled_and_one_review_is_left() -> None:
    made = named(told(called_off=LEFT))
    assert {made[name] for name in ("integration-session", "C24", "C72")} == {"patient-withdrawn"}
    assert made["cancellation-review"] is None


def test_without_consent_integration_is_offered_and_not_chased() -> None:
    made = told(called_off=REVOKED)
    offered = [item.slot.name for item in made.tasks if item.offered]
    assert offered == ["integration-session"]
    assert named(made)["C24"] == named(made)["C72"] == "treatment-consent-revoked"


def test_why_a_task_is_there_says_what_happened_and_when_for_the_patient() -> None:
    integration = next(item.slot for item in told().tasks if item.slot.name == "integration-session")
    facts = {"outcome": "completed", "ended_at": ENDED.isoformat(), "zone": "America/Chicago"}
    assert integration.reason == Reason(ReasonCode.SESSION_DUE, facts)


def test_a_protocol_that_is_not_known_is_followed_by_the_default() -> None:
    known = Protocols([PROTOCOL, replaced(PROTOCOL, version=2)])
    assert known.get("default", 1).version == 1
    assert known.get("ketamine-plus", 7).version == 2


def test_the_shipped_protocol_says_that_the_use_is_off_label_and_what_the_guideline_says() -> None:
    assert "Off-label" in PROTOCOL.status
    assert "suggests against" in PROTOCOL.status


def replaced(protocol: Protocol, **changes: object) -> Protocol:
    return protocol.model_copy(update=changes)


def slot(code: str, hours: float) -> CheckInSlot:
    at = ENDED + timedelta(hours=hours)
    return CheckInSlot(code, 0, at - timedelta(hours=6), at, at + timedelta(hours=24))


@pytest.mark.parametrize(
    ("outcome", "starts_after_hours", "superseded"),
    [
        ("completed", [48], True),
        ("completed", [71.999], True),
        ("completed", [72], False),
        ("completed", [96, 24], True),
        ("completed", [], False),
        ("left-against-advice", [48], True),
        ("transferred", [48], True),
        ("stopped-early", [48], False),
    ],
)
def test_c72_gives_way_to_an_infusion_that_starts_before_it_is_due(outcome: str, starts_after_hours: list[float], superseded: bool) -> None:
    starts = [ENDED + timedelta(hours=hours) for hours in starts_after_hours]
    assert is_superseded(third_day(ENDED, PROTOCOL), InfusionOutcome(outcome), starts) is superseded


def test_a_correction_moves_what_is_open_and_leaves_what_is_answered() -> None:
    changed = re_derive([("C72", 0)], [("C24", 0), ("C72", 0)], [slot("C24", 24), slot("C72", 72)], ENDED)
    assert [moved.code for moved in changed.move] == ["C72"]
    assert (changed.keep_due, changed.add, changed.drop) == ((), (), ())


def test_a_due_time_is_never_moved_into_the_past() -> None:
    changed = re_derive([("C24", 0)], [("C24", 0)], [slot("C24", -1)], ENDED)
    assert [kept.code for kept in changed.keep_due] == ["C24"]
    assert changed.move == ()


def test_what_is_not_wanted_any_more_is_dropped_and_what_was_never_made_is_added() -> None:
    changed = re_derive([("C24", 0)], [("C24", 0)], [slot("C72", 72)], ENDED)
    assert changed.drop == (("C24", 0),)
    assert [added.code for added in changed.add] == ["C72"]


@given(st.sampled_from(InfusionOutcome), st.booleans(), st.floats(0, 400), st.sampled_from([None, DEAD, LEFT, REVOKED]))
def test_the_set_is_complete_whatever_happened_and_whenever_it_is_heard_of(
    outcome: InfusionOutcome, drug_given: bool, hours: float, called_off: CalledOff | None
) -> None:
    made = told(hours, of=infusion(outcome, drug_given=drug_given), called_off=called_off)
    names = [name for name, _, _ in items(made)]
    assert len(names) == len(set(names))
    if drug_given:
        day_after = "staff-check-in" if outcome is InfusionOutcome.TRANSFERRED else "C24"
        assert {"integration-session", day_after, "C72"} <= set(names)
    now = ENDED + timedelta(hours=hours)
    assert all(reason or due_at >= now for _, due_at, reason in items(made))


@given(st.floats(-100, 100), st.floats(0, 200))
def test_deriving_again_from_the_same_facts_changes_nothing(shift: float, hours: float) -> None:
    of = replace(infusion(), pump_ended_at=ENDED + timedelta(hours=shift))
    made = follow_up(of, PROTOCOL, ENDED, clinic_zone=ZONE)
    known = [(item.slot.name, item.slot.ordinal) for item in made.check_ins]
    opened = [(item.slot.name, item.slot.ordinal) for item in made.check_ins if item.cancelled_because is None]
    again = re_derive(opened, known, [item.slot for item in made.check_ins], ENDED + timedelta(hours=hours))
    assert (again.add, again.drop) == ((), ())
