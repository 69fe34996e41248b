"""Bodies and answers of the queue."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from services.followup.tasks.models import CareTask, TaskHistory
from services.followup.tasks.queries import View
from services.followup.tasks.rules import OPEN, Action, BusinessStatus, Completion, HoldReason, Outcome, Priority, TaskStatus, Unassigned
from services.followup.tasks.wording import Telling
from shared.web import Answer, Body, Moment, Text

Note = Annotated[str, Text(2000, lines=True)]


class AssignTask(Body):
    """To whom a task is given."""

    owner_id: UUID


class HoldTask(Body):
    """Until when a task waits, and why."""

    until: Moment
    reason: HoldReason


class CompleteTask(Body):
    """How a task ended. ``retry_at`` comes with no-answer, and with left-message where somebody has to be spoken to."""

    outcome: Outcome
    note: Note | None = None
    performed_at: Moment | None = None
    retry_at: Moment | None = None

    @property
    def completion(self) -> Completion:
        return Completion(self.outcome, self.note, self.performed_at, self.retry_at)


class TaskOut(Answer):
    """A row of the queue: what, for whom, why, by when, who has it. Codes are for machines; the texts are for the reader who asked."""

    task_id: UUID
    version: int
    kind: str
    focus: str
    """What it is about, such as ``Infusion/<id>``."""
    ordinal: int
    attempt: int
    infusion_id: UUID | None
    plan_id: UUID | None
    patient_id: UUID
    patient_number: str
    status: TaskStatus
    business_status: BusinessStatus
    status_reason: str | None
    priority: Priority
    level: str
    """The priority as people read it: Now, Urgent, Today or Routine."""
    reason: str
    """A code: what happened."""
    title: str
    why: str
    """What happened, and when, on the patient's clock; as much of it as this reader may know."""
    to_do: str
    who_may: str
    """Whose work it is."""
    due: str
    """When it is due, in words."""
    window_starts_at: datetime | None
    due_at: datetime
    due_kept: bool
    expires_at: datetime | None
    overdue: bool
    owner_id: UUID | None
    suggested_owner_id: UUID | None
    """Whom the course's care team names for it: somebody who works here and may do it now."""
    unassigned_because: Unassigned | None
    """A code: why nobody has it. Null where somebody has it, and where it has ended."""
    remedy: str | None
    """Why nobody has it and what to do about it, in words."""
    held_until: datetime | None
    outcome: Outcome | None
    created_at: datetime
    changed_at: datetime
    closed_at: datetime | None

    @classmethod
    def of(cls, task: CareTask, told: Telling) -> Self:
        """As its reader is told of it."""
        return cls.model_validate(_shown(cls, task, told))


class TaskDetail(TaskOut):
    """A task with what it lists, and the note where the reader may see it: null and withheld for other roles."""

    details: dict[str, Any]  # Any: JSON of our own making
    lists: list[str]
    """What it lists, in words, a line each."""
    performed_at: datetime | None
    note: str | None
    note_withheld: bool

    @classmethod
    def of(cls, task: CareTask, told: Telling) -> Self:
        """As this reader may see it."""
        shown = _shown(cls, task, told)
        withheld = task.note is not None and not told.clinical
        return cls.model_validate({**shown, "note": None if withheld else task.note, "note_withheld": withheld})


class TaskChange(Answer):
    """One line of a task's history."""

    version: int
    action: Action
    changed_at: datetime
    actor: str
    caused_by: UUID | None
    status: TaskStatus
    business_status: BusinessStatus
    owner_id: UUID | None
    due_at: datetime
    details: dict[str, Any]  # Any: JSON of our own making
    says: str
    """What happened, in words."""

    @classmethod
    def of(cls, change: TaskHistory, task: CareTask, told: Telling) -> Self:
        given = {name: getattr(change, name) for name in cls.model_fields if hasattr(change, name)}
        return cls.model_validate({**given, "says": told.of_change(change, task)})


class TaskCounts(Answer):
    """How many tasks each view holds with the given filters; ``at_least`` is true where counting stopped."""

    counts: dict[str, int]
    at_least: dict[str, bool]
    unassigned: dict[str, int]
    """How many of those in ``unassigned`` nobody has for each reason: the same codes as ``unassigned_because``."""

    @classmethod
    def of(cls, counts: Mapping[View | Unassigned, int], limit: int) -> Self:
        """A count at the limit may be more."""
        views = {view.value: number for view, number in counts.items() if isinstance(view, View)}
        return cls(
            counts=views,
            at_least={view: number >= limit for view, number in views.items()},
            unassigned={because.value: counts.get(because, 0) for because in Unassigned},
        )


def _shown(answer: type[TaskOut], task: CareTask, told: Telling) -> dict[str, Any]:  # Any: fields of several types
    because, remedy = told.unassigned(task)
    computed = {
        **asdict(told.of_task(task)),
        "unassigned_because": because,
        "remedy": remedy,
        "suggested_owner_id": told.suggested.get(task.task_id) if task.status in OPEN else task.suggested_owner_id,
        "reason": task.because.code,
        "focus": f"{task.focus_kind}/{task.focus_id}",
        "overdue": task.is_overdue(told.now),
    }
    known = {name: getattr(task, name) for name in answer.model_fields if hasattr(task, name)} | computed
    return {name: known[name] for name in answer.model_fields if name in known}
