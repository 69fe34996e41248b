"""The tasks that check-ins make for people. They tell how worried we are and what to do, never what was answered."""

from datetime import datetime

from services.followup.checkins.models import CheckIn, CheckInStatus
from services.followup.checkins.rules import Level
from services.followup.tasks.commands import NewTask
from services.followup.tasks.rules import Priority

OVERDUE_CALL, TELEPHONE_CHECK_IN, REVIEW = "check-in-overdue-call", "staff-check-in", "safety-review"
"""Kinds of tasks."""

PRIORITY_OF = {Level.STAT: Priority.STAT, Level.URGENT: Priority.ASAP, Level.SAME_DAY: Priority.URGENT, Level.ROUTINE: Priority.ROUTINE}
"""FHIR's priorities in their order: there, asap is more pressing than urgent."""


def review_task(check_in: CheckIn, level: Level, now: datetime, due_at: datetime, *, number: int) -> NewTask:
    """A clinician is to look at the answers. Each batch of new worries gets a task of its own, with the next number."""
    ended = check_in.status in (CheckInStatus.CANCELLED, CheckInStatus.SUPERSEDED)
    what = f"{check_in.code} was {check_in.status}, what came all the same is not kept" if ended else f"{check_in.code} answers to look at"
    return _task(check_in, REVIEW, PRIORITY_OF[level], f"{what}, level {level}", now, due_at, ordinal=number)


def overdue_task(check_in: CheckIn, now: datetime, due_at: datetime) -> NewTask:
    """Somebody is to call about a check-in that was not answered."""
    return _task(check_in, OVERDUE_CALL, Priority.ROUTINE, f"{check_in.code} not answered", now, due_at)


def telephone_task(check_in: CheckIn, now: datetime, reason: str, *, number: int = 1) -> NewTask:
    """The check-in cannot be answered through a link, so somebody asks by telephone, by the same due time; ``reason`` is a code.

    A reason that can come again after its task was called off gets a task of its own by another ``number``.
    """
    why = telephone_why(check_in.code, reason)
    return _task(check_in, TELEPHONE_CHECK_IN, Priority.ROUTINE, why, now, max(check_in.due_at, now), ordinal=number)


def telephone_why(code: str, reason: str) -> str:
    """What such a task says of itself, by which those of one reason are found."""
    return f"{code} by telephone: {reason}"


def _task(check_in: CheckIn, kind: str, priority: Priority, why: str, now: datetime, due_at: datetime, *, ordinal: int = 1) -> NewTask:
    return NewTask(
        kind=kind,
        focus_kind="CheckIn",
        focus_id=check_in.check_in_id,
        patient_id=check_in.patient_id,
        patient_number=check_in.patient_number,
        priority=priority,
        why=why,
        due_at=due_at,
        created_at=now,
        ordinal=ordinal,
        plan_id=check_in.plan_id,
        infusion_id=check_in.infusion_id,
    )
