"""Plans as clinic systems see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from services.followup.checkins.models import CheckIn
from services.followup.plans.changes import Change, CoverChange, codes_of
from services.followup.plans.comparison import Compared, Place
from services.followup.plans.models import Plan, PlanStatus
from services.followup.plans.origins import Asked, Origin
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


class AskedOut(Answer):
    """One item of a protocol: on what it hangs, by which document, from which moment its times count."""

    code: str
    anchor_id: UUID
    """An infusion, a course, or the patient who left."""
    number: int
    anchor: str | None
    """What it hangs on by the protocol's name for it, as infusion-end; None where the facts want it no more."""
    infusion_id: UUID | None
    counts_from: datetime | None
    protocol_code: str | None
    protocol_version: int | None
    sources: dict[str, str]
    """Where its times come from, by the time: opens, due, expires."""
    ended_because: str | None
    """Why the facts do not want it open."""

    @classmethod
    def of(cls, asked: Asked) -> Self:
        """As the facts want it now."""
        want = asked.want
        code, version = want.why.protocol if want else (None, None)
        return cls(
            code=asked.key.code,
            anchor_id=asked.key.anchor_id,
            number=asked.key.number,
            anchor=want.why.anchor if want else None,
            infusion_id=want.why.infusion_id if want else None,
            counts_from=want.why.counts_from if want else None,
            protocol_code=code,
            protocol_version=version,
            sources=dict(asked.sources),
            ended_because=want.reason if want else asked.gone,
        )


class OriginOut(Answer):
    """Why a task or a check-in is there."""

    item_id: UUID
    patient_id: UUID
    kind: str
    """task or check-in."""
    code: str
    caused_by: UUID | None
    """The event from which it was made; null where it was time or a person."""
    asks: list[AskedOut]
    """The item that it is, or those that it is about; empty for what no protocol asks, as a look at a record."""

    @classmethod
    def of(cls, origin: Origin) -> Self:
        """In one shape for both."""
        asks = [AskedOut.of(asked) for asked in origin.asked]
        return cls(
            item_id=origin.item_id, patient_id=origin.patient_id, kind=origin.kind, code=origin.code, caused_by=origin.caused_by, asks=asks
        )


class DifferenceOut(Answer):
    """What the comparison would change for one patient, and has not."""

    clinic_id: UUID
    patient_id: UUID
    step: str
    """make, miss, move, keep-due, hand-over, offer, chase, supersede, end, restore, close or restate; of covering work also join."""
    code: str
    """Of the item in its protocol, or the kind of covering work."""
    anchor_id: UUID | None
    """What the item hangs on: an infusion, a course, or the patient who left; none of covering work."""
    number: int

    @classmethod
    def of(cls, place: Place, change: Change) -> Self:
        """Without what anything is about."""
        step, code = codes_of(change)
        key = None if isinstance(change, CoverChange) else change.after.key
        number = change.after.number if isinstance(change, CoverChange) else change.after.key.number
        return cls(
            clinic_id=place.clinic_id, patient_id=place.patient_id, step=step, code=code, anchor_id=key and key.anchor_id, number=number
        )


class Differences(Answer):
    """Some patients, compared."""

    patients: int
    """How many were looked at."""
    items: list[DifferenceOut]
    next_after: str | None
    """Behind whom to go on; None when all were looked at."""

    @classmethod
    def of(cls, compared: Sequence[Compared], limit: int) -> Self:
        """A part that is full may have another behind it."""
        last = compared[-1].place if len(compared) == limit else None
        items = [DifferenceOut.of(one.place, change) for one in compared for change in one.changes]
        return cls(patients=len(compared), items=items, next_after=f"{last.clinic_id}/{last.patient_id}" if last else None)
