"""Reading the queue. Lists and counts are made from the same conditions, so a count is the length of its list."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, false, func, literal, not_, or_, text, union_all
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from services.followup.local_time import day_begins
from services.followup.tasks.models import (
    HAS_NO_OWNER,
    HAS_OWNER,
    IS_ACCEPTED,
    IS_CANCELLED,
    IS_DONE,
    IS_OFFERED,
    IS_ON_HOLD,
    IS_OPEN,
    CareTask,
    TaskHistory,
)
from services.followup.tasks.rules import Priority, ReleaseCause, Unassigned
from services.followup.tasks.wording import Zones
from shared.db import clinic_of
from shared.errors import Invalid, NotFound
from shared.events.zones import zone_of


class View(StrEnum):
    """The tabs of the queue. An open task is in ``open`` and in one more: whose it is, on hold with its owner, or unassigned."""

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
    unassigned_because: Unassigned | None = None
    takeable: Collection[str] = ()
    """The kinds that somebody here may do; what is asked for by the reason why nobody has it is told apart by them."""


async def open_reasons(db: AsyncSession, focus_id: UUID, kind: str) -> set[str | None]:
    """What the open tasks of this kind about this are there for; None is the reason of one that the version before wrote."""
    about = (CareTask.clinic_id == clinic_of(db), CareTask.focus_id == focus_id, CareTask.kind == kind, IS_OPEN)
    return set((await db.exec(select(CareTask.reason).where(*about).distinct())).all())


async def get_task(db: AsyncSession, task_id: UUID) -> CareTask:
    """A task of this clinic. Raises NotFound."""
    return _found((await db.exec(_one(db, task_id))).first())


async def get_locked(db: AsyncSession, task_id: UUID) -> CareTask:
    """A task of this clinic, locked until the end of the transaction. Raises NotFound. A person's step locks the patient before it."""
    locked = _one(db, task_id).with_for_update().execution_options(populate_existing=True)
    return _found((await db.exec(locked)).first())


def tasks_in(db: AsyncSession, view: View, filters: Filters, sort: Sort | None) -> SelectOfScalar[CareTask]:
    """The tasks of a view in the wanted order, by default what was closed last. Raises 422 sort-not-applicable."""
    sort = sort or Sort.LAST_CLOSED
    if sort is Sort.LAST_CLOSED and view not in ENDED_VIEWS:
        raise Invalid("sort-not-applicable", "What is open has no time of closing.")
    task, conditions = _wanted(db, view, filters)
    return select(task).where(*conditions).order_by(*_order(sort, task))


async def count(db: AsyncSession, filters: Filters) -> Mapping[View | Unassigned, int]:
    """How many tasks each view holds with these filters, and how many nobody has for each reason, in one statement.

    Each count goes up to ``COUNT_LIMIT``.
    """
    wanted: dict[View | Unassigned, tuple[type[CareTask], list[ColumnElement[bool]]]] = {view: _wanted(db, view, filters) for view in View}
    for because in Unassigned if filters.unassigned_because is None else (filters.unassigned_because,):
        wanted[because] = _wanted(db, View.UNASSIGNED, replace(filters, unassigned_because=because))
    limited = [select(literal(1)).select_from(task).where(*conditions).limit(COUNT_LIMIT) for task, conditions in wanted.values()]
    counts = [select(func.count()).select_from(rows.subquery()).scalar_subquery() for rows in limited]
    row = (await db.execute(select(*counts))).one()
    return dict(zip(wanted, row, strict=True))


async def roles_here(db: AsyncSession) -> frozenset[str]:
    """The roles that somebody who works here has."""
    return frozenset((await db.execute(_ROLES_HERE, {"clinic_id": clinic_of(db)})).scalars())


def history_of(db: AsyncSession, task_id: UUID) -> SelectOfScalar[TaskHistory]:
    """Everything that happened to a task, oldest first."""
    mine = (col(TaskHistory.clinic_id) == clinic_of(db), col(TaskHistory.task_id) == task_id)
    return select(TaskHistory).where(*mine).order_by(col(TaskHistory.version), col(TaskHistory.task_id))


async def zones_of(db: AsyncSession, patient_ids: Collection[UUID]) -> Zones:
    """Where these patients live now, and where the clinic is, in one statement."""
    found = list(await db.execute(_ZONES, {"clinic_id": clinic_of(db), "ids": sorted(set(patient_ids))}))
    of_patient = {row.patient_id: zone_of(row.time_zone) for row in found if row.patient_id is not None and row.time_zone}
    return Zones(of_patient, next((zone_of(row.time_zone) for row in found if row.patient_id is None), _UTC))


async def next_infusion_day(db: AsyncSession, patient_id: UUID, now: datetime) -> datetime | None:
    """When the day of the patient's next booked infusion begins at the clinic, today's included; None where none is booked."""
    clinic = (await zones_of(db, [])).clinic
    today = day_begins(now, clinic)
    asked = {"clinic_id": clinic_of(db), "patient_id": patient_id, "today": today}
    at: datetime | None = (await db.execute(_NEXT_INFUSION, asked)).scalar_one_or_none()
    return None if at is None else day_begins(at, clinic)


def _one(db: AsyncSession, task_id: UUID) -> SelectOfScalar[CareTask]:
    return select(CareTask).where(CareTask.clinic_id == clinic_of(db), CareTask.task_id == task_id)


def _found(task: CareTask | None) -> CareTask:
    if task is None:
        raise NotFound
    return task


def _wanted(db: AsyncSession, view: View, filters: Filters) -> tuple[type[CareTask], list[ColumnElement[bool]]]:
    """What is selected from, and the conditions on it."""
    conditions = filtered(db, view, filters)
    if filters.overdue is None:
        return CareTask, conditions
    if view in ENDED_VIEWS:
        return CareTask, conditions + ([false()] if filters.overdue else [])
    if filters.overdue:
        return CareTask, [*conditions, col(CareTask.due_at) < filters.now, not_(IS_OFFERED)]
    return _not_overdue(conditions, filters.now), []


def _not_overdue(conditions: Sequence[ColumnElement[bool]], now: datetime) -> type[CareTask]:
    """What is due later, and what is offered and not chased: two parts, each read in order from an index of its own.

    One condition for both would be looked for from the earliest due time on, through everything that is overdue.
    """
    ahead = select(CareTask).where(*conditions, col(CareTask.due_at) >= now)
    offered = select(CareTask).where(*conditions, col(CareTask.due_at) < now, IS_OFFERED)
    return aliased(CareTask, union_all(ahead, offered).subquery())


def filtered(db: AsyncSession, view: View, filters: Filters) -> list[ColumnElement[bool]]:
    """The conditions on the tasks of a view, but for whether they are overdue."""
    return [col(CareTask.clinic_id) == clinic_of(db), *_of_view(view, filters), *_filtered(view, filters)]


def _filtered(view: View, filters: Filters) -> Iterator[ColumnElement[bool]]:
    wanted = {
        CareTask.owner_id: filters.owner_id,
        CareTask.kind: filters.kind,
        CareTask.priority_rank: None if filters.priority is None else filters.priority.rank,
        CareTask.patient_id: filters.patient_id,
    }
    for column, value in wanted.items():
        if value is not None:
            yield col(column) == value
    if filters.due_before is not None:
        yield col(CareTask.due_at) < filters.due_before
    if view is View.UNASSIGNED and filters.owner_id is not None:
        yield false()  # said, so that nobody's tasks are not searched for somebody's
    if filters.unassigned_because is not None:
        yield from _unassigned(filters.unassigned_because, filters.takeable)


def _unassigned(because: Unassigned, takeable: Collection[str]) -> Iterator[ColumnElement[bool]]:
    """As ``unassigned_because`` of the rules says it of one task."""
    yield and_(HAS_NO_OWNER, IS_OPEN)
    of_somebody = col(CareTask.kind).in_(sorted(takeable))
    yield not_(of_somebody) if because is Unassigned.NOBODY_MAY else of_somebody
    if because is Unassigned.NOT_TAKEN:
        known = col(CareTask.released_because).in_(list(ReleaseCause))
        yield or_(col(CareTask.released_because).is_(None), not_(known))
    elif because is not Unassigned.NOBODY_MAY:
        yield col(CareTask.released_because) == because.value


def _of_view(view: View, filters: Filters) -> list[ColumnElement[bool]]:
    match view:
        case View.MINE:
            return [IS_ACCEPTED, col(CareTask.owner_id) == filters.me]
        case View.UNASSIGNED:
            return [HAS_NO_OWNER, IS_OPEN]
        case View.ON_HOLD:
            return [IS_ON_HOLD, HAS_OWNER]
        case View.OPEN:
            return [IS_OPEN]
        case View.DONE:
            return [IS_DONE]
        case View.CANCELLED:
            return [IS_CANCELLED]


def _order(sort: Sort, task: type[CareTask]) -> tuple[Any, ...]:  # Any: columns and descending columns of several types
    task_id, due_at, created_at, changed_at = (col(it) for it in (task.task_id, task.due_at, task.created_at, task.changed_at))
    orders: dict[Sort, tuple[Any, ...]] = {  # Any: as above
        Sort.DUE: (due_at, task_id),
        Sort.LATEST_DUE: (due_at.desc(), task_id.desc()),
        Sort.OLDEST: (created_at, task_id),
        Sort.NEWEST: (created_at.desc(), task_id.desc()),
        Sort.PRIORITY: (col(task.priority_rank), due_at, task_id),
        # What has ended changes no more, so its last change is its closing; unlike closed_at it is never null, as a page's order needs.
        Sort.LAST_CLOSED: (changed_at.desc(), task_id.desc()),
    }
    return orders[sort]


_NEXT_INFUSION = text(
    """
    SELECT min(scheduled_at) FROM infusion
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = CAST(:patient_id AS uuid) AND state = 'scheduled' AND scheduled_at >= :today
    """
)
_UTC = ZoneInfo("UTC")
_ROLES_HERE = text("SELECT DISTINCT unnest(roles) FROM platform.practitioner WHERE clinic_id = CAST(:clinic_id AS uuid) AND active")
_ZONES = text(
    """
    SELECT patient_id, time_zone FROM patient WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = ANY(CAST(:ids AS uuid[]))
    UNION ALL SELECT NULL, time_zone FROM clinic WHERE clinic_id = CAST(:clinic_id AS uuid)
    """
)
