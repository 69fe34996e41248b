"""One call about everything that a patient was not asked in time: what is missed later joins the call that is still open."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.reasons import Reason, ReasonCode
from services.followup.tables import arrays_of
from services.followup.tasks import commands
from services.followup.tasks.commands import NewTask
from services.followup.tasks.models import MACHINE
from services.followup.tasks.rules import OPEN
from services.followup.tasks.statements import EXTEND, JOINED, OPEN_OF
from shared.db import clinic_of

CATCH_UP = "catch-up-call"


async def add(db: AsyncSession, new: Sequence[NewTask], now: datetime) -> None:
    """Make tasks; of calls that catch up a patient has one, which lists all that was missed. The patients are locked before.

    Its due time is that of the first miss. Two statements more where there is such a call, and none where there is not.
    """
    calls = _by_patient(task for task in new if task.kind == CATCH_UP and task.status in OPEN)
    if not calls:
        await commands.add(db, new)
        return
    asked = {"clinic_id": clinic_of(db), "patients": sorted(calls), "kind": CATCH_UP}
    waiting: dict[UUID, UUID] = {row.patient_id: row.task_id for row in await db.execute(OPEN_OF, asked)}
    others = [task for task in new if task.kind != CATCH_UP or task.status not in OPEN]
    await commands.add(db, [*others, *(call for patient_id, call in calls.items() if patient_id not in waiting)])
    joining = [_row_of(task_id, calls[patient_id]) for patient_id, task_id in waiting.items()]
    if joining:
        told = {"clinic_id": clinic_of(db), "now": now, "actor": MACHINE, "reason": ReasonCode.MISSED_SEVERAL.value}
        await db.execute(EXTEND, {**arrays_of(JOINED, joining), **told})


def _by_patient(calls: Iterable[NewTask]) -> dict[UUID, NewTask]:
    found: dict[UUID, NewTask] = {}
    for call in calls:
        known = found.get(call.patient_id)
        found[call.patient_id] = call if known is None else _joined(known, call)
    return found


def _joined(first: NewTask, second: NewTask) -> NewTask:
    same = first.infusion_id == second.infusion_id
    return replace(
        first,
        reason=Reason(ReasonCode.MISSED_SEVERAL, {**first.reason.facts, "missed": sorted([*_missed(first), *_missed(second)])}),
        details={**first.details, "items": [*_items(first), *_items(second)]},
        due_at=min(first.due_at, second.due_at),
        infusion_id=first.infusion_id if same else None,
        plan_id=first.plan_id if same else None,
    )


def _row_of(task_id: UUID, call: NewTask) -> dict[str, object]:
    return {
        "task_id": task_id,
        "infusion_id": call.infusion_id,
        "plan_id": call.plan_id,
        "items": json.dumps(_items(call)),
        "missed": json.dumps(_missed(call)),
        "joined_by": call.caused_by,
    }


def _missed(call: NewTask) -> list[str]:
    missed = call.reason.facts.get("missed", [])
    return missed if isinstance(missed, list) else []


def _items(call: NewTask) -> list[Any]:  # Any: JSON of our own making
    items = call.details.get("items", [])
    return items if isinstance(items, list) else []
