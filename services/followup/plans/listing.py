"""What the calls about what was missed list: what one that was called off stood for, and what one that is open or done stands for."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans.slots import Kind
from services.followup.tasks.rules import CancelledItem
from shared.db import clinic_of


@dataclass(frozen=True, slots=True)
class ListingCall:
    """A call about what was missed. It ``stands`` while it is open or once it is done; of several attempts, the last one counts."""

    task_id: UUID
    stands: bool
    items: tuple[CancelledItem, ...]


async def in_place_of_calls(db: AsyncSession, patient_id: UUID, called_off: Sequence[CancelledItem]) -> list[CancelledItem]:
    """What was called off, with what a call listed in the place of that call. One statement where there is a call, none where not."""
    if not any(item.code == Kind.CATCH_UP for item in called_off):
        return list(called_off)
    return stood_for(called_off, await calls_of(db, patient_id))


async def calls_of(db: AsyncSession, patient_id: UUID) -> list[ListingCall]:
    """All calls of a patient about what was missed, whatever became of them."""
    rows = await db.execute(_CALLS, {"clinic_id": clinic_of(db), "patient_id": patient_id, "call": Kind.CATCH_UP.value})
    return [ListingCall(row.task_id, row.stands, tuple(_item(entry) for entry in row.items)) for row in rows]


def stood_for(called_off: Iterable[CancelledItem], calls: Iterable[ListingCall]) -> list[CancelledItem]:
    """Each item once, and in the place of a call what it listed: who reads of the call alone does not learn what was missed."""
    lists = {call.task_id: call.items for call in calls if call.items}
    found: dict[UUID, CancelledItem] = {}
    opened: set[UUID] = set()
    waiting = deque(called_off)
    while waiting:
        item = waiting.popleft()
        if item.id not in lists:
            found.setdefault(item.id, item)
        elif item.id not in opened:
            opened.add(item.id)
            waiting.extendleft(reversed(lists[item.id]))
    return list(found.values())


def still_missed(items: Iterable[CancelledItem], calls: Iterable[ListingCall]) -> list[CancelledItem]:
    """Those that no call stands for. One that was called off keeps nothing off the next."""
    stood = {item.id for call in calls if call.stands for item in call.items}
    return [item for item in items if item.id not in stood]


def _item(entry: Mapping[str, Any]) -> CancelledItem:  # Any: JSON of our own making
    return CancelledItem(entry["kind"], entry["code"], UUID(entry["id"]), entry.get("reason"), entry.get("ended_at"))


_CALLS = text(
    """
    SELECT task_id, coalesce(details -> 'items', '[]') AS items,
           status IN ('requested', 'accepted', 'on-hold', 'completed')
               AND attempt = max(attempt) OVER (PARTITION BY focus_id, ordinal) AS stands
    FROM care_task
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = CAST(:patient_id AS uuid) AND kind = :call
    ORDER BY created_at, task_id
    """
)
