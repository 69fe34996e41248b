"""What a person does with a task: claim, assign, release, hold, resume, complete. Every change is told in the task's history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.roles import LEADS
from services.followup.subjects.commands import lock_patients
from services.followup.tasks import queries
from services.followup.tasks.commands import CLOCK, WAKE, NewTask, add, key
from services.followup.tasks.models import CareTask
from services.followup.tasks.policy import KindPolicy, TaskPolicy
from services.followup.tasks.queries import get_task
from services.followup.tasks.rules import (
    OPEN,
    Clocks,
    Completion,
    HoldReason,
    Refusal,
    TaskStatus,
    hold_refusal,
    may_work,
    performed_refusal,
    retry_refusal,
    window_of,
)
from services.followup.tasks.statements import CLAIM
from shared import versions
from shared.db import clinic_of
from shared.errors import DomainError, FieldError, Invalid
from shared.security.caller import Caller, practitioner_required, role_missing
from shared.timers import Timer, arm, disarm


@dataclass(frozen=True, slots=True)
class Worker:
    """A practitioner at the queue."""

    practitioner_id: UUID
    roles: frozenset[str]
    actor: str
    seen: int | None = None
    """The version of the task that this person has seen, where they said it."""

    @classmethod
    def of(cls, caller: Caller, seen: int | None = None) -> "Worker":
        """Raises Forbidden for a machine that names no practitioner."""
        if caller.practitioner_id is None:
            raise practitioner_required()
        return cls(caller.practitioner_id, caller.roles, caller.actor, seen)


async def get_locked(db: AsyncSession, task_id: UUID, worker: Worker) -> CareTask:
    """A task, locked until the end of the transaction, and its patient before it. Raises NotFound, and 412 where it has changed since.

    What is told of the patient meanwhile waits, and so finds the next attempt that a completion makes; it locks in the same order.
    """
    await lock_patients(db, [(await get_task(db, task_id)).patient_id])
    task = await queries.get_locked(db, task_id)
    if worker.seen is not None:
        versions.require(worker.seen, task.version)
    return task


async def claim(db: AsyncSession, policy: TaskPolicy, task_id: UUID, worker: Worker, now: datetime) -> CareTask:
    """Take a task that nobody has. Of several who try, one gets it; the others get 409 already-claimed, naming who has it."""
    task = await (get_task(db, task_id) if worker.seen is None else get_locked(db, task_id, worker))
    kind = _kind(policy, task)
    _require_role(kind, worker.roles)
    parameters = {
        "clinic_id": clinic_of(db),
        "task_id": task_id,
        "owner_id": worker.practitioner_id,
        "roles": sorted(kind.roles),
        "actor": worker.actor,
        "now": now,
    }
    claimed = (await db.execute(CLAIM, parameters)).first()
    await db.refresh(task)
    if claimed is None:
        raise _not_claimed(task, kind)
    return task


def _not_claimed(task: CareTask, kind: KindPolicy) -> DomainError:
    if task.unassigned:
        return role_missing(kind.roles)  # it was taken from the person while the request ran
    taken = task.owner_id is not None and task.status in OPEN
    return task.refusal("already-claimed", "Somebody has this task.") if taken else task.refusal("state", "The task has ended.")


async def assign(db: AsyncSession, policy: TaskPolicy, task_id: UUID, owner_id: UUID, worker: Worker, now: datetime) -> CareTask:
    """Give a task to an active practitioner of this clinic whose roles fit. Raises 422 for anybody else."""
    task = await get_locked(db, task_id, worker)
    roles = await _roles_of(db, owner_id)
    if roles is None:
        raise _invalid("/owner_id", Refusal("reference-not-found", "an active practitioner of this clinic"))
    if not may_work(_kind(policy, task), roles):
        raise _invalid("/owner_id", Refusal("role-missing", f"one of {', '.join(sorted(_kind(policy, task).roles))}"))
    db.add(task.assign(owner_id, now, worker.actor))
    await disarm(db, key(WAKE, task_id))
    return task


async def release(db: AsyncSession, task_id: UUID, worker: Worker, now: datetime) -> CareTask:
    """Put a task back for everybody; its owner may, and whoever leads the queue."""
    task = await get_locked(db, task_id, worker)
    if worker.roles.isdisjoint(LEADS):
        _require_owner(task, worker)
    db.add(task.release(now, worker.actor))
    await disarm(db, key(WAKE, task_id))
    return task


async def hold(
    db: AsyncSession, policy: TaskPolicy, task_id: UUID, until: datetime, reason: HoldReason, worker: Worker, now: datetime
) -> CareTask:
    """Let a task wait until a time; it wakes by itself. Only its owner may, only what is not pressing, and no longer than its kind may."""
    task = await get_locked(db, task_id, worker)
    _require_owner(task, worker)
    refused = hold_refusal(
        policy.hold.limits[_kind(policy, task).hold],
        policy.hold,
        priority=task.priority,
        held_seconds=task.held_seconds,
        now=now,
        until=until,
        clocks=await _clocks_of(db, task, now),
    )
    if refused is not None and refused.code == "hold-not-allowed":
        raise task.refusal(refused.code, f"This task may not wait: {refused.allowed}.")
    if refused is not None:
        raise _invalid("/until", refused)
    db.add(task.hold(until, reason, now, worker.actor))
    await arm(db, Timer(key(WAKE, task_id), WAKE, until, task_id))
    return task


async def _clocks_of(db: AsyncSession, task: CareTask, now: datetime) -> Clocks:
    window = window_of(opens_at=task.window_starts_at, due_at=task.due_at, expires_at=task.expires_at, now=now)
    return Clocks(window, await queries.next_infusion_day(db, task.patient_id, now))


async def resume(db: AsyncSession, task_id: UUID, worker: Worker, now: datetime) -> CareTask:
    """End a hold before its time."""
    task = await get_locked(db, task_id, worker)
    _require_owner(task, worker)
    db.add(task.resume(now, worker.actor))
    await disarm(db, key(WAKE, task_id))
    return task


async def complete(db: AsyncSession, policy: TaskPolicy, task_id: UUID, completion: Completion, worker: Worker, now: datetime) -> CareTask:
    """Close a task with its outcome. Where nobody was spoken to, the next attempt becomes a task of its own, with the same owner."""
    task = await get_locked(db, task_id, worker)
    kind = _kind(policy, task)
    _require_owner(task, worker)
    _require_role(kind, worker.roles)
    _check(kind, policy, task, completion, now)
    db.add(task.complete(completion.outcome, completion.note, completion.performed_at or now, now, worker.actor))
    await disarm(db, key(CLOCK, task_id), key(WAKE, task_id))
    if completion.retry_at is not None:
        await db.flush()
        _require_role(kind, frozenset(await _roles_of(db, worker.practitioner_id) or ()))
        await add(db, [_next_attempt(task, completion.retry_at, worker, now)])
    return task


async def _roles_of(db: AsyncSession, practitioner_id: UUID) -> Sequence[str] | None:
    """The roles of somebody who works here, who keeps them until the end of the transaction; None for anybody else."""
    roles: Sequence[str] | None = (
        await db.execute(_ROLES, {"clinic_id": clinic_of(db), "practitioner_id": practitioner_id})
    ).scalar_one_or_none()
    return roles


def _check(kind: KindPolicy, policy: TaskPolicy, task: CareTask, completion: Completion, now: datetime) -> None:
    if completion.outcome not in kind.outcomes:
        raise _invalid("/outcome", Refusal("outcome-not-applicable", f"one of {', '.join(kind.outcomes)}"))
    refused = retry_refusal(kind, policy.retry, completion.outcome, now=now, retry_at=completion.retry_at)
    if refused is not None:
        raise _invalid("/retry_at", refused)
    refused = performed_refusal(
        completion.outcome, performed_at=completion.performed_at, now=now, created_at=task.created_at, opens_at=task.window_starts_at
    )
    if refused is not None:
        raise _invalid("/performed_at", refused)


def _next_attempt(task: CareTask, retry_at: datetime, worker: Worker, now: datetime) -> NewTask:
    return NewTask(
        kind=task.kind,
        focus_kind=task.focus_kind,
        focus_id=task.focus_id,
        ordinal=task.ordinal,
        attempt=task.attempt + 1,
        patient_id=task.patient_id,
        patient_number=task.patient_number,
        plan_id=task.plan_id,
        infusion_id=task.infusion_id,
        priority=task.priority,
        reason=task.because,
        window_starts_at=task.window_starts_at,
        due_at=retry_at,
        expires_at=task.expires_at if task.expires_at and task.expires_at >= retry_at else None,
        owner_id=worker.practitioner_id,
        suggested_owner_id=task.suggested_owner_id,
        status=TaskStatus.ACCEPTED,
        details={**task.details, "attempt_before": str(task.task_id)},
        created_at=now,
        actor=worker.actor,
    )


def _kind(policy: TaskPolicy, task: CareTask) -> KindPolicy:
    """Raises 409 for a kind that only a later release knows, as while two run: who may do it is not known here."""
    if task.kind not in policy.kinds:
        raise task.refusal("kind-unknown", "A newer version of this service made this task; this one does not know who may do it.")
    return policy.kinds[task.kind]


def _require_role(kind: KindPolicy, roles: frozenset[str]) -> None:
    if not may_work(kind, roles):
        raise role_missing(kind.roles)


def _require_owner(task: CareTask, worker: Worker) -> None:
    if task.owner_id != worker.practitioner_id:
        raise task.refusal(
            "not-owner", "Only who has the task may do this; claim it first." if task.owner_id is None else "Somebody else has it."
        )


def _invalid(pointer: str, refused: Refusal) -> Invalid:
    return Invalid(refused.code, "The body is refused.", errors=[FieldError(pointer, refused.code, refused.allowed)])


_ROLES = text(
    """
    SELECT roles FROM platform.practitioner
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND practitioner_id = CAST(:practitioner_id AS uuid) AND active
    FOR SHARE
    """
)
