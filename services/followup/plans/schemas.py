"""Plans as clinic systems see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from services.followup.checkins.models import CheckIn
from services.followup.plans.models import Plan, PlanStatus
from services.followup.plans.slots import InfusionOutcome
from services.followup.tasks.models import CareTask
from shared.web import Answer


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A plan with its tasks and check-ins, by due time."""

    plan: Plan
    tasks: Sequence[CareTask]
    check_ins: Sequence[CheckIn]


class PlanOut(Answer):
    """The follow-up of one infusion, and the facts that it was derived from."""

    plan_id: UUID
    version: int
    status: PlanStatus
    status_reason: str | None
    infusion_id: UUID
    infusion_version: int
    outcome: InfusionOutcome
    patient_id: UUID
    patient_number: str
    patient_time_zone: str
    course_id: UUID
    first_of_course: bool
    protocol_code: str
    protocol_version: int
    asked_protocol: str | None
    started_at: datetime
    pump_ended_at: datetime
    generation: int
    made_at: datetime
    changed_at: datetime

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """From its row."""
        return cls.model_validate(plan)


class PlanItem(Answer):
    """One task or check-in that follows from a plan, in one shape. ``reason`` says why it was called off."""

    kind: str
    """task or check-in."""
    id: UUID
    code: str
    ordinal: int
    attempt: int
    status: str
    reason: str | None
    opens_at: datetime | None
    due_at: datetime
    due_kept: bool
    expires_at: datetime | None

    @classmethod
    def of_task(cls, task: CareTask) -> Self:
        """From a task's row."""
        return cls(
            kind="task",
            id=task.task_id,
            code=task.kind,
            ordinal=task.ordinal,
            attempt=task.attempt,
            status=task.status.value,
            reason=task.status_reason,
            opens_at=task.window_starts_at,
            due_at=task.due_at,
            due_kept=task.due_kept,
            expires_at=task.expires_at,
        )

    @classmethod
    def of_check_in(cls, check_in: CheckIn) -> Self:
        """From a check-in's row."""
        return cls(
            kind="check-in",
            id=check_in.check_in_id,
            code=check_in.code,
            ordinal=check_in.ordinal,
            attempt=1,
            status=check_in.status.value,
            reason=check_in.ended_reason,
            opens_at=check_in.opens_at,
            due_at=check_in.due_at,
            due_kept=check_in.due_kept,
            expires_at=check_in.expires_at,
        )


class PlanDetail(PlanOut):
    """A plan with everything that follows from it, whatever became of it."""

    items: list[PlanItem]

    @classmethod
    def of_record(cls, record: PlanRecord) -> Self:
        """Tasks first, then check-ins."""
        items = [*map(PlanItem.of_task, record.tasks), *map(PlanItem.of_check_in, record.check_ins)]
        return cls(**PlanOut.of(record.plan).model_dump(), items=items)
