"""The tasks that check-ins make for people. They hold which rules were met and what to do, never what was answered."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from services.followup.checkins.models import CheckIn
from services.followup.checkins.rules import HELP_NOW, Level, Worry, highest
from services.followup.reasons import Fact, Reason, ReasonCode, moment
from services.followup.tasks.commands import NewTask
from services.followup.tasks.joining import CATCH_UP
from services.followup.tasks.rules import Priority

OVERDUE_CALL, TELEPHONE_CHECK_IN, REVIEW = "check-in-overdue-call", "staff-check-in", "safety-review"
"""Kinds of tasks."""

PRIORITY_OF = {Level.STAT: Priority.STAT, Level.URGENT: Priority.ASAP, Level.SAME_DAY: Priority.URGENT, Level.ROUTINE: Priority.ROUTINE}
"""FHIR's priorities in their order: there, asap is more pressing than urgent."""


class Lapse(StrEnum):
    """Why answers were not taken although their check-in takes some: how its form came. A task says it beside the states of a check-in."""

    SESSION_OVER = "session-over"
    NO_SESSION = "no-session"
    """The session runs, and the browser that sent the form is not, or not any more, the one that has it."""
    LINK_DEAD = "link-dead"
    LINK_CLOSED = "link-closed"
    TIME_PASSED = "expired"
    CLINIC_INACTIVE = "clinic-inactive"


THOUGH_DEAD = {
    ReasonCode.CALL_FOR_HELP: ReasonCode.CALL_FOR_HELP_RECORDED_DEAD,
    ReasonCode.WORRYING_ANSWERS: ReasonCode.WORRYING_ANSWERS_RECORDED_DEAD,
}
"""What a review is there for where the patient was recorded as dead then: the record may be wrong, or somebody else holds the link."""


def review_task(
    check_in: CheckIn,
    fresh: Sequence[Worry],
    now: datetime,
    due_at: datetime,
    *,
    number: int,
    saved: bool = True,
    lapse: Lapse | None = None,
    recorded_dead: bool = False,
) -> NewTask:
    """A clinician is to look at what is new, or to answer a call for help. Each batch gets a task of its own, with the next number.

    ``saved`` is False where there are no answers to look at: the check-in was over, or takes answers and the form came by a ``lapse``.
    """
    level = highest(worry.level for worry in fresh)
    assert level is not None
    called = any(worry.item == HELP_NOW for worry in fresh)
    facts: dict[str, Fact] = {
        "check_in": check_in.code,
        "at": moment(now),
        "rules": [worry.rule_id for worry in fresh if worry.item != HELP_NOW],
    }
    if not saved:
        facts["ended"] = (lapse or check_in.status).value
    code = ReasonCode.CALL_FOR_HELP if called else ReasonCode.WORRYING_ANSWERS
    reason = Reason(THOUGH_DEAD[code] if recorded_dead else code, facts)
    return _task(check_in, REVIEW, PRIORITY_OF[level], reason, now, due_at, ordinal=number)


def overdue_task(check_in: CheckIn, now: datetime, due_at: datetime, *, sent: bool) -> NewTask:
    """Somebody is to call about a check-in that was not answered; where no message was ``sent``, the patient may not know of it."""
    code = ReasonCode.NOT_ANSWERED if sent else ReasonCode.NOT_SENT_IN_TIME
    reason = Reason(code, {"check_in": check_in.code, "answer_due_at": moment(check_in.due_at)})
    return _task(check_in, OVERDUE_CALL, Priority.ROUTINE, reason, now, due_at)


def never_asked_task(check_in: CheckIn, priority: Priority, now: datetime, due_at: datetime) -> NewTask:
    """It was past its time before it could be asked. One call catches up with all that a patient was not asked."""
    reason = Reason(ReasonCode.NEVER_ASKED, {"check_in": check_in.code, "missed": [check_in.code]})
    task = _task(check_in, CATCH_UP, priority, reason, now, due_at)
    listed = {"kind": "check-in", "code": check_in.code, "id": str(check_in.check_in_id), "reason": ReasonCode.NEVER_ASKED.value}
    return replace(task, details={"items": [listed]})


def telephone_task(check_in: CheckIn, now: datetime, cause: str) -> NewTask:
    """The check-in cannot be answered through a link, so somebody asks by telephone, by the same due time; ``cause`` is a code."""
    reason = Reason(ReasonCode.ASKED_BY_TELEPHONE, {"check_in": check_in.code, "cause": cause})
    return _task(check_in, TELEPHONE_CHECK_IN, Priority.ROUTINE, reason, now, max(check_in.due_at, now))


def _task(
    check_in: CheckIn, kind: str, priority: Priority, reason: Reason, now: datetime, due_at: datetime, *, ordinal: int = 1
) -> NewTask:
    return NewTask(
        kind=kind,
        focus_kind="CheckIn",
        focus_id=check_in.check_in_id,
        patient_id=check_in.patient_id,
        patient_number=check_in.patient_number,
        priority=priority,
        reason=Reason(reason.code, {**reason.facts, "zone": check_in.patient_time_zone}),
        due_at=due_at,
        created_at=now,
        ordinal=ordinal,
        plan_id=check_in.plan_id,
        infusion_id=check_in.infusion_id,
    )
