"""Queueing messages and calling them off, in the transaction of the change that wants it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.outreach.models import Message, MessageStatus
from shared.db import clinic_of

FIRST_ISSUE = 1


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that asks for a check-in's answers, leaving at ``leaves_at`` or later."""

    check_in_id: UUID
    patient_id: UUID
    leaves_at: datetime
    issue: int = FIRST_ISSUE
    """The number of its link among those of the check-in."""


class CancelledMessage(NamedTuple):
    """A message that will not leave."""

    message_id: UUID
    check_in_id: UUID


async def queue(db: AsyncSession, new: Sequence[NewMessage], now: datetime) -> None:
    """Queue messages; a check-in that has one gets no second one with the same link."""
    if not new:
        return
    await db.execute(
        _QUEUE,
        {
            "clinic_id": clinic_of(db),
            "now": now,
            "ids": [uuid4() for _ in new],
            "check_ins": [message.check_in_id for message in new],
            "patients": [message.patient_id for message in new],
            "leaves": [message.leaves_at for message in new],
            "issues": [message.issue for message in new],
        },
    )


async def cancel(db: AsyncSession, check_in_ids: Sequence[UUID], reason: str) -> list[CancelledMessage]:
    """Call off what these check-ins still have queued; returns it."""
    if not check_in_ids:
        return []
    cancelling = (
        update(Message)
        .where(col(Message.clinic_id) == clinic_of(db), col(Message.check_in_id).in_(check_in_ids))
        .where(col(Message.status) == MessageStatus.QUEUED)
        .values(status=MessageStatus.CANCELLED, reason=reason)
        .returning(col(Message.message_id), col(Message.check_in_id))
    )
    cancelled = [CancelledMessage(*row) for row in (await db.execute(cancelling)).all()]
    await forget(db, [message.message_id for message in cancelled])
    return cancelled


async def follow(db: AsyncSession, ended: Mapping[UUID, str], leaves_at: Mapping[UUID, datetime]) -> list[CancelledMessage]:
    """Call off what check-ins that have ended had queued, with the reason, and move that of others; returns what is called off.

    One statement for all of them; none where there are none.
    """
    if not ended and not leaves_at:
        return []
    given = {
        "check_ins": [*ended, *leaves_at],
        "reasons": [*ended.values(), *(None for _ in leaves_at)],
        "leaves": [*(None for _ in ended), *leaves_at.values()],
    }
    return [CancelledMessage(*row) for row in await db.execute(_FOLLOW, {**given, "clinic_id": clinic_of(db)})]


async def look_again(db: AsyncSession, patient_id: UUID, now: datetime) -> None:
    """Let what a patient has queued be judged anew at once, since where the patient is may have changed; the patient is locked before."""
    await db.execute(_LOOK_AGAIN, {"clinic_id": clinic_of(db), "patient_id": patient_id, "now": now})


async def forget(db: AsyncSession, message_ids: Sequence[UUID]) -> None:
    """Take messages out of the sending queue."""
    if message_ids:
        await db.execute(_FORGET, {"ids": list(message_ids)})


async def sent(db: AsyncSession, check_in_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these check-ins whose newest message has left, as far as is known: an earlier one went to an address that was wrong."""
    return set((await db.execute(_SENT, {"clinic_id": clinic_of(db), "ids": list(check_in_ids)})).scalars())


async def find_message(db: AsyncSession, message_id: UUID) -> Message | None:
    """A message, locked until the end of the transaction."""
    query = select(Message).where(Message.clinic_id == clinic_of(db), Message.message_id == message_id).with_for_update()
    return (await db.exec(query.execution_options(populate_existing=True))).first()


_QUEUE = text(
    """
    WITH queued AS (
        INSERT INTO message (clinic_id, message_id, check_in_id, patient_id, issue, status, queued_at, leaves_at, attempts)
        SELECT CAST(:clinic_id AS uuid), message_id, check_in_id, patient_id, issue, 'queued', :now, leaves_at, 0
        FROM unnest(CAST(:ids AS uuid[]), CAST(:check_ins AS uuid[]), CAST(:patients AS uuid[]), CAST(:leaves AS timestamptz[]),
                    CAST(:issues AS int[])) AS given(message_id, check_in_id, patient_id, leaves_at, issue)
        ON CONFLICT DO NOTHING RETURNING clinic_id, message_id, leaves_at
    )
    INSERT INTO platform.message_queue (clinic_id, message_id, leaves_at) SELECT clinic_id, message_id, leaves_at FROM queued
    """
)
_SENT = text(
    """
    SELECT check_in_id FROM (
        SELECT DISTINCT ON (check_in_id) check_in_id, status FROM message
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND check_in_id = ANY(CAST(:ids AS uuid[])) ORDER BY check_in_id, issue DESC
    ) newest WHERE status = 'sent'
    """
)
_FORGET = text("DELETE FROM platform.message_queue WHERE message_id = ANY(CAST(:ids AS uuid[]))")
_LOOK_AGAIN = text(
    """
    WITH moved AS (
        UPDATE message m SET leaves_at = greatest(c.opens_at, CAST(:now AS timestamptz)) FROM check_in c
        WHERE m.clinic_id = CAST(:clinic_id AS uuid) AND m.patient_id = :patient_id AND m.status = 'queued'
          AND c.clinic_id = m.clinic_id AND c.check_in_id = m.check_in_id AND m.leaves_at > greatest(c.opens_at, CAST(:now AS timestamptz))
        RETURNING m.message_id, m.leaves_at
    )
    UPDATE platform.message_queue q SET leaves_at = moved.leaves_at FROM moved WHERE q.message_id = moved.message_id
    """
)
_FOLLOW = text(
    """
    WITH followed AS (
        UPDATE message m SET leaves_at = coalesce(given.leaves_at, m.leaves_at), reason = given.reason,
            status = CASE WHEN given.reason IS NULL THEN 'queued' ELSE 'cancelled' END
        FROM unnest(CAST(:check_ins AS uuid[]), CAST(:reasons AS text[]), CAST(:leaves AS timestamptz[]))
             AS given(check_in_id, reason, leaves_at)
        WHERE m.clinic_id = CAST(:clinic_id AS uuid) AND m.check_in_id = given.check_in_id AND m.status = 'queued'
        RETURNING m.message_id, m.check_in_id, m.status, m.leaves_at
    ),
    moved AS (
        UPDATE platform.message_queue q SET leaves_at = f.leaves_at FROM followed f
        WHERE q.message_id = f.message_id AND f.status = 'queued'
    ),
    forgotten AS (
        DELETE FROM platform.message_queue q USING followed f WHERE q.message_id = f.message_id AND f.status = 'cancelled'
    )
    SELECT message_id, check_in_id FROM followed WHERE status = 'cancelled' ORDER BY message_id
    """
)
