"""The timers of check-ins, and the lock that whatever changes one holds."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins.models import CheckIn, CheckInStatus
from shared.db import clinic_of
from shared.timers import Timer

OPEN, OVERDUE, CALL, EXPIRE = "check-in-open", "check-in-overdue", "check-in-call", "check-in-expire"
"""Kinds of timers; a timer's key is its kind and the check-in's id."""


async def locked(
    db: AsyncSession, whose: ColumnElement[bool], statuses: frozenset[CheckInStatus] | set[CheckInStatus] | None = None
) -> list[CheckIn]:
    """Check-ins in one of these states, or in any, locked in the order of their ids until the end of the transaction."""
    states = [] if statuses is None else [col(CheckIn.status).in_(statuses)]
    query = select(CheckIn).where(CheckIn.clinic_id == clinic_of(db), whose, *states)
    query = query.order_by(col(CheckIn.check_in_id)).with_for_update()
    return list((await db.exec(query.execution_options(populate_existing=True))).all())


def key(kind: str, check_in_id: UUID) -> str:
    """The key of a check-in's timer."""
    return f"{kind}:{check_in_id}"


def timer(kind: str, check_in_id: UUID, due_at: datetime) -> Timer:
    return Timer(key(kind, check_in_id), kind, due_at, check_in_id)
