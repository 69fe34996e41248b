"""Requesting, moving and calling off check-ins, inside the transaction of the change that wants it.

Each function takes a fixed number of statements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import links
from services.followup.checkins.models import UNANSWERED, WAITING, CheckIn, CheckInStatus, LinkStatus
from services.followup.outreach import commands as outreach
from services.followup.tables import arrays_of, columns_of, rows_of, types_of
from services.followup.tasks.rules import CancelledItem
from shared.db import clinic_of
from shared.statements import Statement
from shared.timers import Timer, arm, disarm

OPEN, OVERDUE, CALL, EXPIRE = "check-in-open", "check-in-overdue", "check-in-call", "check-in-expire"
"""Kinds of timers; a timer's key is its kind and the check-in's id."""


@dataclass(frozen=True, slots=True)
class NewCheckIn:
    """A check-in to be requested; ``status`` is planned, or cancelled for ``ended_reason`` where it only exists to be listed."""

    check_in_id: UUID
    plan_id: UUID | None
    patient_id: UUID
    patient_number: str
    patient_time_zone: str
    infusion_id: UUID | None
    course_id: UUID
    code: str
    ordinal: int
    opens_at: datetime
    due_at: datetime
    expires_at: datetime
    status: CheckInStatus
    ended_reason: str | None = None


class CheckInTimes(Protocol):
    """The new times of one check-in, as the plans that work them out have them."""

    @property
    def code(self) -> str: ...
    @property
    def ordinal(self) -> int: ...
    @property
    def opens_at(self) -> datetime: ...
    @property
    def due_at(self) -> datetime: ...
    @property
    def expires_at(self) -> datetime: ...


async def request(db: AsyncSession, new: Sequence[NewCheckIn]) -> None:
    """Plan check-ins and arm the timers that open them; what was requested before stays as it is."""
    if not new:
        return
    given = arrays_of(_COLUMNS, (columns_of(_COLUMNS, one) for one in new))
    made = {row["check_in_id"] for row in await _REQUEST.rows(db, **given, clinic_id=clinic_of(db))}
    planned = [item for item in new if item.check_in_id in made and item.status == CheckInStatus.PLANNED]
    await arm(db, *(timer(OPEN, item.check_in_id, item.opens_at) for item in planned))


async def cancel_open(
    db: AsyncSession,
    *,
    patient_ids: Sequence[UUID] = (),
    infusion_ids: Sequence[UUID] = (),
    check_in_ids: Sequence[UUID] = (),
    codes: Sequence[str] | None = None,
    reason: str,
) -> list[CancelledItem]:
    """Call off what is unanswered of these patients and infusions, or among these check-ins, with unsent messages and all open links.

    With ``codes`` only check-ins of these codes.
    """
    whose = or_(
        col(CheckIn.patient_id).in_(patient_ids), col(CheckIn.infusion_id).in_(infusion_ids), col(CheckIn.check_in_id).in_(check_in_ids)
    )
    if codes is not None:
        whose &= col(CheckIn.code).in_(codes)
    return await _end(db, whose, UNANSWERED | {CheckInStatus.EXPIRED}, CheckInStatus.CANCELLED, reason)


async def supersede(db: AsyncSession, check_in_ids: Sequence[UUID], reason: str) -> None:
    """End those of these check-ins that are unanswered; what they have raised stays."""
    await _end(db, col(CheckIn.check_in_id).in_(check_in_ids), UNANSWERED, CheckInStatus.SUPERSEDED, reason)


async def take_up(db: AsyncSession, slots: Mapping[UUID, CheckInTimes]) -> list[CheckIn]:
    """Ask for superseded check-ins after all; returns those that the patient had been asked for already, whose link is dead."""
    found = await locked(db, col(CheckIn.check_in_id).in_(slots), {CheckInStatus.SUPERSEDED})
    for check_in in found:
        slot = slots[check_in.check_in_id]
        check_in.take_up(slot.opens_at, slot.due_at, slot.expires_at)
    await db.flush()
    await arm(db, *(timer for check_in in found for timer in _timers_of(check_in)))
    return [check_in for check_in in found if check_in.status in WAITING]


async def miss(db: AsyncSession, check_in_ids: Sequence[UUID], reason: str) -> list[CheckIn]:
    """Mark superseded check-ins as never asked; returns them."""
    found = await locked(db, col(CheckIn.check_in_id).in_(check_in_ids), {CheckInStatus.SUPERSEDED})
    for check_in in found:
        check_in.miss(reason)
    await db.flush()
    return found


async def move(db: AsyncSession, infusion_id: UUID, slots: Sequence[CheckInTimes], now: datetime) -> list[CheckIn]:
    """Give an infusion's unanswered check-ins new times after an amendment; returns those newly marked as keeping their due time.

    A new due time in the past is not taken: the item is marked and returned, for a person to look at. An overdue one whose new due
    time lies ahead is open again. A message that has left is not sent again; one that has not leaves at the new time.
    """
    found = await locked(db, col(CheckIn.infusion_id) == infusion_id, UNANSWERED)
    slot_of = {(slot.code, slot.ordinal): slot for slot in slots}
    kept: list[CheckIn] = []
    moved: list[CheckIn] = []
    for check_in in found:
        slot = slot_of.get((check_in.code, check_in.ordinal))
        if slot is None or (slot.opens_at, slot.due_at, slot.expires_at) == (check_in.opens_at, check_in.due_at, check_in.expires_at):
            continue
        if slot.due_at >= now:
            check_in.move(slot.opens_at, slot.due_at, slot.expires_at)
            moved.append(check_in)
        elif check_in.keep_due():
            kept.append(check_in)
    await db.flush()
    await disarm(db, *(key(CALL, check_in.check_in_id) for check_in in moved))
    await arm(db, *(timer for check_in in moved for timer in _timers_of(check_in)))
    await outreach.move(db, {check_in.check_in_id: max(check_in.opens_at, now) for check_in in moved})
    return kept


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


async def _end(
    db: AsyncSession,
    whose: ColumnElement[bool],
    statuses: frozenset[CheckInStatus] | set[CheckInStatus],
    status: CheckInStatus,
    reason: str,
) -> list[CancelledItem]:
    found = await locked(db, whose, statuses)
    ended = [check_in for check_in in found if check_in.status in UNANSWERED]
    for check_in in ended:
        check_in.end(status, reason)
    await db.flush()
    codes = {check_in.check_in_id: check_in.code for check_in in found}
    messages = await outreach.cancel(db, list(codes), reason)
    await links.close(db, list(codes), LinkStatus.DEAD)
    await disarm(db, *(key(kind, check_in_id) for check_in_id in codes for kind in (OPEN, OVERDUE, CALL, EXPIRE)))
    items = [CancelledItem("check-in", check_in.code, check_in.check_in_id) for check_in in ended]
    return items + [CancelledItem("message", codes[message.check_in_id], message.message_id) for message in messages]


def _timers_of(check_in: CheckIn) -> list[Timer]:
    if check_in.status not in WAITING:
        return [timer(OPEN, check_in.check_in_id, check_in.opens_at)]
    return [timer(OVERDUE, check_in.check_in_id, check_in.due_at), timer(EXPIRE, check_in.check_in_id, check_in.expires_at)]


_COLUMNS = types_of(CheckIn, *(field.name for field in fields(NewCheckIn)))
_NAMES = ", ".join(_COLUMNS)
_REQUEST = Statement(
    f"""
    INSERT INTO check_in (clinic_id, version, late, due_kept, reviews, {_NAMES})
    SELECT CAST(:clinic_id AS uuid), 1, false, false, 0, {_NAMES} FROM {rows_of(_COLUMNS)}
    ON CONFLICT DO NOTHING RETURNING check_in_id
    """  # noqa: S608 - column names of our own
)
