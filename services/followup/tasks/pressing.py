"""The default order of open work: stat first, then what is overdue by level and age, then what is due first.

Whether something is overdue changes while somebody reads on, so all pages of one list are told at the moment of its first. The order
is made of parts, one after the other; in each the earliest due comes first, and each is read from an index.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, literal, not_, or_, select, tuple_, union_all
from sqlalchemy.orm import aliased
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.tasks.models import IS_OFFERED, CareTask
from services.followup.tasks.queries import Filters, View, filtered
from services.followup.tasks.rules import Priority

_rank, _due = col(CareTask.priority_rank), col(CareTask.due_at)


@dataclass(frozen=True, slots=True)
class Place:
    """Behind which task a page begins, and the moment of the list's first page."""

    now: datetime
    part: int
    due_at: datetime
    task_id: UUID

    @classmethod
    def read(cls, bookmark: str) -> Self:
        """Raises ValueError for what ``written`` did not make."""
        try:
            now, part, due_at, task_id = json.loads(bookmark)
            return cls(datetime.fromisoformat(now), int(part), datetime.fromisoformat(due_at), UUID(task_id))
        except (TypeError, AttributeError) as error:
            raise ValueError from error

    def written(self) -> str:
        """As a bookmark."""
        return json.dumps([self.now.isoformat(), self.part, self.due_at.isoformat(), str(self.task_id)])


async def page(db: AsyncSession, view: View, filters: Filters, bookmark: str | None, limit: int) -> tuple[list[CareTask], str | None]:
    """The next tasks of a view of open work, in one statement, and the bookmark behind them where more follow.

    Raises ValueError for a bookmark of another list.
    """
    after = None if bookmark is None else Place.read(bookmark)
    filters = filters if after is None else replace(filters, now=after.now)
    rows = (await db.execute(statement(db, view, filters, after, limit + 1))).all()
    tasks = [task for task, _ in rows[:limit]]
    if len(rows) <= limit:
        return tasks, None
    last, part = rows[limit - 1]
    return tasks, Place(filters.now, part, last.due_at, last.task_id).written()


def statement(db: AsyncSession, view: View, filters: Filters, after: Place | None, limit: int) -> Select[CareTask, int]:
    """Tasks with the number of their part. Each part gives no more than is wanted of all of them."""
    wanted = filtered(db, view, filters)
    reading = [
        _part(number, [*wanted, *conditions], after, limit)
        for number, conditions in enumerate(_parts(filters))
        if after is None or number >= after.part
    ]
    found = union_all(*reading).subquery()
    task = aliased(CareTask, found)
    return select(task, found.c.part).order_by(found.c.part, col(task.due_at), col(task.task_id)).limit(limit)


def _parts(filters: Filters) -> Iterator[list[ColumnElement[bool]]]:
    late = and_(_due < filters.now, not_(IS_OFFERED))
    is_late = [] if filters.overdue is None else [late if filters.overdue else or_(_due >= filters.now, IS_OFFERED)]
    yield [_rank == Priority.STAT.rank, *is_late]
    of_level = [priority for priority in Priority if priority is not Priority.STAT] if filters.overdue is not False else []
    for priority in of_level:
        yield [_rank == priority.rank, late]
    if not filters.overdue:
        yield [_rank > Priority.STAT.rank, _due < filters.now, IS_OFFERED]
        yield [_rank > Priority.STAT.rank, _due >= filters.now]


def _part(number: int, conditions: list[ColumnElement[bool]], after: Place | None, limit: int) -> Select[CareTask, int]:
    if after is not None and number == after.part:
        conditions = [*conditions, tuple_(_due, col(CareTask.task_id)) > (after.due_at, after.task_id)]
    reading = select(CareTask, literal(number).label("part")).where(*conditions)
    return reading.order_by(_due, col(CareTask.task_id)).limit(limit)
