"""What may become of a task: who may have it, how long it may wait, when the next attempt has to be named."""

from datetime import UTC, datetime, timedelta

import pytest

from services.followup.checkins import work as check_in_work
from services.followup.plans.slots import Kind
from services.followup.tasks.policy import CancelCause, shipped_policy
from services.followup.tasks.rules import Outcome, Priority, hold_refusal, may_work, performed_refusal, retry_refusal

POLICY = shipped_policy()
NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


def test_every_kind_of_task_that_is_made_has_its_policy() -> None:
    made_by_check_ins = {check_in_work.OVERDUE_CALL, check_in_work.TELEPHONE_CHECK_IN, check_in_work.REVIEW}
    assert POLICY.kinds.keys() == {kind.value for kind in Kind} | made_by_check_ins


@pytest.mark.parametrize(
    ("priority", "held_hours", "until_hours", "refused"),
    [
        (Priority.ROUTINE, 0, 24, None),
        (Priority.ROUTINE, 0, 24.01, "hold-too-long"),
        (Priority.ROUTINE, 20, 4, None),
        (Priority.ROUTINE, 20, 4.01, "hold-too-long"),
        (Priority.ROUTINE, 0, 0, "hold-not-ahead"),
        (Priority.URGENT, 0, 1, "hold-not-allowed"),
        (Priority.ASAP, 0, 1, "hold-not-allowed"),
        (Priority.STAT, 0, 1, "hold-not-allowed"),
    ],
)
def test_only_routine_work_waits_and_a_day_in_all(priority: Priority, held_hours: float, until_hours: float, refused: str | None) -> None:
    until = NOW + timedelta(hours=until_hours)
    refusal = hold_refusal(
        POLICY.hold_of("safety-review"),
        POLICY.hold,
        priority=priority,
        held_seconds=int(held_hours * 3600),
        now=NOW,
        until=until,
    )
    assert (refusal and refusal.code) == refused


def test_what_may_wait_is_what_the_clinic_says_and_the_refusal_says_it_too() -> None:
    policy = POLICY.hold.model_copy(update={"priorities": ("routine", "urgent")})
    limit, until = POLICY.hold_of("rebook"), NOW + timedelta(hours=1)
    assert hold_refusal(limit, policy, priority=Priority.URGENT, held_seconds=0, now=NOW, until=until) is None
    refusal = hold_refusal(limit, policy, priority=Priority.ASAP, held_seconds=0, now=NOW, until=until)
    assert refusal is not None
    assert refusal.allowed == "only routine or urgent work may wait"


def test_only_office_work_waits_for_days_and_every_limit_has_its_source() -> None:
    office = {kind for kind in POLICY.kinds if POLICY.hold_of(kind).at_most > timedelta(days=1)}
    assert office == {"integration-session", "rebook", "cancellation-review"} == set(POLICY.held_ahead_of_infusions())
    assert all(limit.source for limit in POLICY.hold.limits.values())


@pytest.mark.parametrize(
    ("kind", "outcome", "retry_hours", "refused"),
    [
        ("rebook", Outcome.NO_ANSWER, None, "retry-required"),
        ("rebook", Outcome.NO_ANSWER, 3, None),
        ("rebook", Outcome.LEFT_MESSAGE, None, None),
        ("catch-up-call", Outcome.LEFT_MESSAGE, None, "retry-required"),
        ("catch-up-call", Outcome.LEFT_MESSAGE, 3, None),
        ("catch-up-call", Outcome.REACHED, 3, "retry-not-applicable"),
        ("catch-up-call", Outcome.NO_ANSWER, 7 * 24, None),
        ("catch-up-call", Outcome.NO_ANSWER, 7 * 24 + 1, "retry-out-of-range"),
        ("catch-up-call", Outcome.NO_ANSWER, 0, "retry-out-of-range"),
    ],
)
def test_where_nobody_was_spoken_to_the_next_attempt_is_named(
    kind: str, outcome: Outcome, retry_hours: float | None, refused: str | None
) -> None:
    retry_at = None if retry_hours is None else NOW + timedelta(hours=retry_hours)
    refusal = retry_refusal(POLICY.kinds[kind], POLICY.retry, outcome, now=NOW, retry_at=retry_at)
    assert (refusal and refusal.code) == refused


def test_the_most_pressing_comes_first_as_in_fhir() -> None:
    assert sorted(Priority, key=lambda priority: priority.rank) == [Priority.STAT, Priority.ASAP, Priority.URGENT, Priority.ROUTINE]


def test_a_coordinator_does_not_close_what_needs_a_clinician() -> None:
    assert not may_work(POLICY.kinds["safety-review"], {"coordinator"})
    assert not may_work(POLICY.kinds["left-against-advice"], {"coordinator", "infusion-nurse"})
    assert may_work(POLICY.kinds["left-against-advice"], {"on-call-clinician"})


def test_what_tells_of_a_worry_survives_whatever_else_is_called_off() -> None:
    for cause in CancelCause:
        assert {"safety-review", "cancellation-review"} <= {name for name, kind in POLICY.kinds.items() if cause in kind.kept_after}


MADE = NOW - timedelta(hours=2)
OPENS = NOW - timedelta(hours=1)


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.REACHED])
@pytest.mark.parametrize(
    ("hours", "opens", "refused"),
    [
        (None, OPENS, None),
        (None, NOW, None),
        (None, NOW + timedelta(seconds=1), "too-early"),
        (0, NOW + timedelta(days=1), "too-early"),
        (-1, OPENS, None),
        (-1.01, OPENS, "too-early"),
        (-2.5, OPENS, "too-early"),
        (-24 * 365, OPENS, "too-early"),
        (-3, MADE - timedelta(hours=2), None),
        (0.01, OPENS, "time-out-of-range"),
        (-2, None, None),
        (-2.01, None, "time-out-of-range"),
        (None, None, None),
    ],
)
def test_work_with_a_window_is_done_once_it_is_open_and_other_work_once_it_is_asked_for(
    outcome: Outcome, hours: float | None, opens: datetime | None, refused: str | None
) -> None:
    performed_at = None if hours is None else NOW + timedelta(hours=hours)
    refusal = performed_refusal(outcome, performed_at=performed_at, now=NOW, created_at=MADE, opens_at=opens)
    assert (refusal and refusal.code) == refused


@pytest.mark.parametrize("outcome", [Outcome.DECLINED, Outcome.UNABLE, Outcome.NO_ANSWER, Outcome.LEFT_MESSAGE])
def test_that_nothing_was_done_may_be_said_before_the_window_opens(outcome: Outcome) -> None:
    assert performed_refusal(outcome, performed_at=None, now=NOW, created_at=MADE, opens_at=NOW + timedelta(days=1)) is None
