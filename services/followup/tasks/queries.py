"""Reading the queue. Lists and counts are made from the same conditions, so a count is the length of its list."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, not_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from services.followup.tasks.models import IS_ACCEPTED, IS_CANCELLED, IS_DONE, IS_ON_HOLD, IS_OPEN, IS_REQUESTED, CareTask, TaskHistory
from services.followup.tasks.rules import BusinessStatus, Priority
from shared.db import clinic_of
from shared.errors import Invalid, NotFound


class View(StrEnum):
    """The tabs of the queue."""

    MINE = "mine"
    UNASSIGNED = "unassigned"
    ON_HOLD = "on-hold"
    DONE = "done"
    OPEN = "open"
    CANCELLED = "cancelled"


class Sort(StrEnum):
    """Orders of a list; a minus sign means the latest first. ``priority`` is the most pressing first, then the earliest due."""

    DUE = "due_at"
    LATEST_DUE = "-due_at"
    OLDEST = "created_at"
    NEWEST = "-created_at"
    PRIORITY = "priority"
    LAST_CLOSED = "-closed_at"


ENDED_VIEWS = frozenset({View.DONE, View.CANCELLED})
COUNT_LIMIT = 10_000
"""A count goes no further: who has more than that does not read the number."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What of a view is wanted; ``None`` means all of it. ``me`` is the practitioner who looks, ``now`` business time."""

    now: datetime
    me: UUID | None = None
    owner_id: UUID | None = None
    kind: str | None = None
    priority: Priority | None = None
    patient_id: UUID | None = None
    overdue: bool | None = None
    due_before: datetime | None = None


async def get_task(db: AsyncSession, task_id: UUID) -> CareTask:
    """A task of this clinic. Raises NotFound."""
    return _found((await db.exec(_one(db, task_id))).first())


async def get_locked(db: AsyncSession, task_id: UUID) -> CareTask:
    """A task of this clinic, locked until the end of the transaction. Raises NotFound."""
    locked = _one(db, task_id).with_for_update().execution_options(populate_existing=True)
    return _found((await db.exec(locked)).first())


def tasks_in(db: AsyncSession, view: View, filters: Filters, sort: Sort | None) -> SelectOfScalar[CareTask]:
    """The tasks of a view in the wanted order, by default what is due first, or closed last. Raises 422 sort-not-applicable."""
    sort = sort or (Sort.LAST_CLOSED if view in ENDED_VIEWS else Sort.DUE)
    if sort is Sort.LAST_CLOSED and view not in ENDED_VIEWS:
        raise Invalid("sort-not-applicable", "What is open has no time of closing.")
    return select(CareTask).where(*_conditions(db, view, filters)).order_by(*_ORDERS[sort])


async def count(db: AsyncSession, filters: Filters) -> Mapping[str, int]:
    """How many tasks each view holds with these filters, up to ``COUNT_LIMIT``, in one statement."""
    limited = {
        view.value: select(literal(1)).select_from(CareTask).where(*_conditions(db, view, filters)).limit(COUNT_LIMIT).subquery()
        for view in View
    }
    counts = [select(func.count()).select_from(rows).scalar_subquery().label(name) for name, rows in limited.items()]
    row = (await db.execute(select(*counts))).one()
    return dict(zip(limited, row, strict=True))


def history_of(db: AsyncSession, task_id: UUID) -> SelectOfScalar[TaskHistory]:
    """Everything that happened to a task, oldest first."""
    mine = (col(TaskHistory.clinic_id) == clinic_of(db), col(TaskHistory.task_id) == task_id)
    return select(TaskHistory).where(*mine).order_by(col(TaskHistory.version), col(TaskHistory.task_id))


def _one(db: AsyncSession, task_id: UUID) -> SelectOfScalar[CareTask]:
    return select(CareTask).where(CareTask.clinic_id == clinic_of(db), CareTask.task_id == task_id)


def _found(task: CareTask | None) -> CareTask:
    if task is None:
        raise NotFound
    return task


def _conditions(db: AsyncSession, view: View, filters: Filters) -> list[ColumnElement[bool]]:
    conditions = [col(CareTask.clinic_id) == clinic_of(db), *_of_view(view, filters)]
    wanted = {
        CareTask.owner_id: filters.owner_id,
        CareTask.kind: filters.kind,
        CareTask.priority_rank: None if filters.priority is None else filters.priority.rank,
        CareTask.patient_id: filters.patient_id,
    }
    conditions += [col(column) == value for column, value in wanted.items() if value is not None]
    if filters.due_before is not None:
        conditions.append(col(CareTask.due_at) < filters.due_before)
    if filters.overdue is not None:
        overdue = (col(CareTask.due_at) < filters.now) & (col(CareTask.business_status) != BusinessStatus.OFFERED) & IS_OPEN
        conditions.append(overdue if filters.overdue else not_(overdue))
    return conditions


def _of_view(view: View, filters: Filters) -> list[ColumnElement[bool]]:
    match view:
        case View.MINE:
            return [IS_ACCEPTED, col(CareTask.owner_id) == filters.me]
        case View.UNASSIGNED:
            return [IS_REQUESTED]
        case View.ON_HOLD:
            return [IS_ON_HOLD]
        case View.OPEN:
            return [IS_OPEN]
        case View.DONE:
            return [IS_DONE]
        case View.CANCELLED:
            return [IS_CANCELLED]


_ORDERS: dict[Sort, tuple[Any, ...]] = {  # Any: columns and descending columns of several types
    Sort.DUE: (col(CareTask.due_at), col(CareTask.task_id)),
    Sort.LATEST_DUE: (col(CareTask.due_at).desc(), col(CareTask.task_id).desc()),
    Sort.OLDEST: (col(CareTask.created_at), col(CareTask.task_id)),
    Sort.NEWEST: (col(CareTask.created_at).desc(), col(CareTask.task_id).desc()),
    Sort.PRIORITY: (col(CareTask.priority_rank), col(CareTask.due_at), col(CareTask.task_id)),
    # What has ended changes no more, so its last change is its closing; unlike closed_at it is never null, as a page's order needs.
    Sort.LAST_CLOSED: (col(CareTask.changed_at).desc(), col(CareTask.task_id).desc()),
}
