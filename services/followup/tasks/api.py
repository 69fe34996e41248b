"""The queue for clinic systems: lists by view, and what a practitioner does with a task."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from services.followup.roles import WORKERS
from services.followup.tasks import pressing, queries, work
from services.followup.tasks.in_force import QueueInForce
from services.followup.tasks.models import CareTask
from services.followup.tasks.queries import COUNT_LIMIT, ENDED_VIEWS, Filters, Sort, View
from services.followup.tasks.rules import Priority, Unassigned
from services.followup.tasks.schemas import AssignTask, CompleteTask, HoldTask, TaskChange, TaskCounts, TaskDetail, TaskOut
from services.followup.tasks.suggestions import suggested_owners
from services.followup.tasks.wording import Telling
from services.followup.tasks.work import Worker
from shared.security.caller import practitioner_required
from shared.web import Call, CallContext, Listing, Moment, Page, PageParams, Router, Slice, access, page_by, page_of

READ, WORK = "system/Task.r", "system/Task.u"


async def filters_of(
    call: Call,
    kind: Annotated[str | None, Query(pattern="^[a-z0-9-]{1,40}$")] = None,
    priority: Priority | None = None,
    patient_id: UUID | None = None,
    owner_id: UUID | None = None,
    overdue: bool | None = None,
    due_before: Annotated[Moment | None, Query()] = None,
    unassigned_because: Unassigned | None = None,
) -> Filters:
    """The filters that lists and counts share. A count of one patient's tasks tells as much as their list: both name the patient."""
    if patient_id is not None:
        call.patient(patient_id)
    return Filters(call.now, call.caller.practitioner_id, owner_id, kind, priority, patient_id, overdue, due_before, unassigned_because)


Wanted = Annotated[Filters, Depends(filters_of)]


def queue_routes(queue: QueueInForce) -> Router:
    router = Router(prefix="/followup/v1", tags=["Task"])

    @router.get("/tasks", response_model=Listing[TaskOut])
    @access(READ, system_or_person=WORKERS, phi="read")
    async def list_tasks(call: Call, page: Page, wanted: Wanted, view: View = View.OPEN, sort: Sort | None = None) -> Listing[TaskOut]:
        """One view of the queue. ``mine`` needs the header Afterglow-Practitioner.

        By default what is open comes as it presses: stat first, then what is overdue by level and age, then what is due first. All pages
        of one list are of the moment of its first page. What has ended comes last closed first.
        """
        if view is View.MINE and wanted.me is None:
            raise practitioner_required()
        if wanted.unassigned_because is not None:
            wanted = await by_roles(call, queue, wanted)
        found = await found_tasks(call, page, wanted, view, sort)
        told = await telling(call, queue, found.items)
        return found.listing(lambda task: TaskOut.of(task, told))

    @router.get("/tasks/counts", response_model=TaskCounts)
    @access(READ, system_or_person=WORKERS, phi="read")
    async def count_tasks(call: Call, wanted: Wanted) -> TaskCounts:
        """How many tasks each view holds, from the same conditions as the lists. ``mine`` is 0 where no practitioner is named.

        Beside it, how many of the unassigned ones nobody has for each reason; those that nobody here may do are a matter for the clinic's
        administrator.
        """
        return TaskCounts.of(await queries.count(call.db, await by_roles(call, queue, wanted)), COUNT_LIMIT)

    @router.get("/tasks/{task_id}", response_model=TaskDetail)
    @access(READ, system_or_person=WORKERS, phi="read")
    async def show_task(task_id: UUID, call: Call) -> TaskDetail:
        """One task. Its note is shown to clinical roles only."""
        return await shown(call, queue, await queries.get_task(call.db, task_id))

    @router.get("/tasks/{task_id}/history", response_model=Listing[TaskChange])
    @access(READ, system_or_person=WORKERS, phi="read")
    async def show_history(task_id: UUID, page: Page, call: Call) -> Listing[TaskChange]:
        """Everything that happened to a task, oldest first, with who did it."""
        task = await queries.get_task(call.db, task_id)
        call.patient(task.patient_id)
        told = await telling(call, queue, [task])
        found = await page_of(call, queries.history_of(call.db, task_id), page)
        return found.listing(lambda change: TaskChange.of(change, task, told))

    return router


def work_routes(queue: QueueInForce) -> Router:
    """What a practitioner does with a task. With If-Match it is refused when the task has changed since it was seen."""
    router = Router(prefix="/followup/v1", tags=["Task"])

    @router.post("/tasks/{task_id}/claim", response_model=TaskDetail)
    @access(WORK, person=WORKERS, phi="write")
    async def claim_task(task_id: UUID, call: Call) -> TaskDetail:
        """Take a task that nobody has. 409 already-claimed names who was faster."""
        return await shown(
            call,
            queue,
            await work.claim(call.db, await queue.policy(call.db, call.now), task_id, Worker.of(call.caller, call.if_match), call.now),
        )

    @router.post("/tasks/{task_id}/assign", response_model=TaskDetail)
    @access(WORK, person=WORKERS, phi="write")
    async def assign_task(task_id: UUID, body: AssignTask, call: Call) -> TaskDetail:
        """Give a task to a practitioner whose roles fit, whoever has it now."""
        return await shown(
            call,
            queue,
            await work.assign(
                call.db, await queue.policy(call.db, call.now), task_id, body.owner_id, Worker.of(call.caller, call.if_match), call.now
            ),
        )

    @router.post("/tasks/{task_id}/release", response_model=TaskDetail)
    @access(WORK, person=WORKERS, phi="write")
    async def release_task(task_id: UUID, call: Call) -> TaskDetail:
        """Put a task back for everybody."""
        return await shown(call, queue, await work.release(call.db, task_id, Worker.of(call.caller, call.if_match), call.now))

    @router.post("/tasks/{task_id}/hold", response_model=TaskDetail)
    @access(WORK, person=WORKERS, phi="write")
    async def hold_task(task_id: UUID, body: HoldTask, call: Call) -> TaskDetail:
        """Let a task wait until a time, with a reason. Pressing work may not wait."""
        return await shown(
            call,
            queue,
            await work.hold(
                call.db,
                await queue.policy(call.db, call.now),
                task_id,
                body.until,
                body.reason,
                Worker.of(call.caller, call.if_match),
                call.now,
            ),
        )

    @router.post("/tasks/{task_id}/resume", response_model=TaskDetail)
    @access(WORK, person=WORKERS, phi="write")
    async def resume_task(task_id: UUID, call: Call) -> TaskDetail:
        """End a hold before its time."""
        return await shown(call, queue, await work.resume(call.db, task_id, Worker.of(call.caller, call.if_match), call.now))

    @router.post("/tasks/{task_id}/complete", response_model=TaskDetail)
    @access(WORK, person=WORKERS, phi="write")
    async def complete_task(task_id: UUID, body: CompleteTask, call: Call) -> TaskDetail:
        """Close a task with its outcome. Where nobody was spoken to, the next attempt becomes a task of its own."""
        return await shown(
            call,
            queue,
            await work.complete(
                call.db, await queue.policy(call.db, call.now), task_id, body.completion, Worker.of(call.caller, call.if_match), call.now
            ),
        )

    return router


async def shown(call: CallContext, queue: QueueInForce, task: CareTask) -> TaskDetail:
    """One task as its reader may see it, in whatever language it is answered."""
    call.patient(task.patient_id)
    call.etag(task.version)
    return TaskDetail.of(task, await telling(call, queue, [task]))


async def found_tasks(call: CallContext, page: PageParams, wanted: Filters, view: View, sort: Sort | None = None) -> Slice[CareTask]:
    """One page of a view. What is open comes as it presses unless another order is asked for."""
    if sort is None and view not in ENDED_VIEWS:
        return await page_by(call, partial(pressing.page, call.db, view, wanted), page)
    return await page_of(call, queries.tasks_in(call.db, view, wanted, sort), page)


async def by_roles(call: CallContext, queue: QueueInForce, wanted: Filters) -> Filters:
    """The filters with what somebody here may do, by which it is told why nobody has a task."""
    policy = await queue.policy(call.db, call.now)
    return replace(wanted, takeable=policy.takeable(await queries.roles_here(call.db)))


async def telling(call: CallContext, queue: QueueInForce, tasks: Sequence[CareTask]) -> Telling:
    """Without a named person, tasks read as for a coordinator."""
    zones = await queries.zones_of(call.db, [task.patient_id for task in tasks])
    policy = await queue.policy(call.db, call.now)
    clinical = not policy.note_readers.isdisjoint(call.caller.roles)
    takeable = policy.takeable(await queries.roles_here(call.db)) if any(task.unassigned for task in tasks) else frozenset()
    return Telling(queue.texts, policy, zones, call.now, clinical, takeable, await suggested_owners(call.db, policy, tasks))
