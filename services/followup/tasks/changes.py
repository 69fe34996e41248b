"""Writing what the comparison of a plan makes of tasks: one statement for all that are made, one for all that change, each with history."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.reasons import Reason
from services.followup.tables import Overtaken, arrays_of, columns_of, rows_of, types_of
from services.followup.tasks.commands import CLOCK, WAKE, NewTask, clock_timer, key
from services.followup.tasks.models import WHERE_OPEN, CareTask, TaskHistory
from services.followup.tasks.rules import OPEN, Action, BusinessStatus, TaskStatus
from services.followup.tasks.statements import COLUMNS, telling
from shared.db import clinic_of
from shared.statements import Statement
from shared.timers import Timer

Covered = tuple[UUID, str, int]
"""The key of an item that a call or a review is about: what it hangs on, its code, its number."""


@dataclass(frozen=True, slots=True)
class MadeTask:
    """A task that does not exist yet, with what it hangs on, or what it covers."""

    task: NewTask
    anchor_id: UUID | None = None
    code: str | None = None
    number: int = 0
    generation: int = 0
    covers: Sequence[Covered] = ()
    begun_anew: bool = False
    """There may be one of its kind about the same thing: it gets the next ordinal."""
    suggested_role: str | None = None
    because: Mapping[str, object] = field(default_factory=dict)
    """From which rule and moment it follows, for its history."""

    @property
    def timers(self) -> list[Timer]:
        """Its clock, where somebody is to do it."""
        chased = self.task.status in OPEN and self.task.business_status is BusinessStatus.TO_DO
        return [clock_timer(self.task.task_id, self.task.due_at)] if chased else []


@dataclass(frozen=True, slots=True)
class ChangedTask:
    """A task as it becomes. ``ended`` is how it ends; None where it stays open, whoever has it."""

    task_id: UUID
    seen: int
    """Its version when it was compared."""
    action: Action
    window_starts_at: datetime | None
    due_at: datetime | None
    """None where it stays."""
    expires_at: datetime | None
    ended: TaskStatus | None = None
    status_reason: str | None = None
    offered: bool = False
    refused_due_at: datetime | None = None
    superseded_by: UUID | None = None
    reason: Reason | None = None
    """None where it says why it is there as before."""
    joined: Sequence[Mapping[str, object]] = ()
    """What is listed besides."""
    covers: Sequence[Covered] = ()
    caused_by: UUID | None = None
    because: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changed:
    """Where a task stands after its change."""

    task_id: UUID
    is_open: bool
    business_status: BusinessStatus
    due_at: datetime
    expires_at: datetime | None

    @property
    def timers(self) -> list[Timer]:
        """Its clock from now on."""
        if not self.is_open:
            return []
        limits = {BusinessStatus.TO_DO: self.due_at, BusinessStatus.OVERDUE: self.expires_at}
        limit = limits.get(self.business_status)
        return [clock_timer(self.task_id, limit)] if limit else []

    @property
    def over(self) -> list[str]:
        """Keys of timers that count no more."""
        if not self.is_open:
            return [key(CLOCK, self.task_id), key(WAKE, self.task_id)]
        return [] if self.timers else [key(CLOCK, self.task_id)]


async def make(db: AsyncSession, made: Sequence[MadeTask]) -> None:
    """Write new tasks, what they cover, and the first line of their history. Raises IntegrityError for one that is there."""
    if made:
        await _MAKE.rows(db, **arrays_of(_MADE, [_made(one) for one in made]), clinic_id=clinic_of(db))


async def change(db: AsyncSession, actor: str, changed: Sequence[ChangedTask], now: datetime) -> list[Changed]:
    """Write changes, each only to the version that was compared. Raises Overtaken where one of them is another by now."""
    if not changed:
        return []
    given = arrays_of(_CHANGED, [_changed(one) for one in changed])
    rows = (await db.execute(_CHANGE, {**given, "clinic_id": clinic_of(db), "now": now, "actor": actor})).all()
    if len(rows) != len(changed):
        raise Overtaken
    return [Changed(row.task_id, row.is_open, BusinessStatus(row.business_status), row.due_at, row.expires_at) for row in rows]


def _made(one: MadeTask) -> dict[str, object]:
    task = one.task
    written = {
        "priority_rank": task.priority.rank,
        "why": task.reason.for_the_version_before,
        "reason": task.reason.code.value,
        "facts": json.dumps(task.reason.facts),
        "details": json.dumps(task.details),
        "closed_at": None if task.status in OPEN else task.created_at,
        "anchor_id": one.anchor_id,
        "code": one.code,
        "number": one.number,
        "generation": one.generation,
        "covers": _as_rows(one.covers),
        "anew": one.begun_anew,
        "suggested_role": one.suggested_role,
        "because": json.dumps(one.because),
    }
    return {**columns_of({name: kind for name, kind in _MADE.items() if name not in written}, task), **written}


def _changed(one: ChangedTask) -> dict[str, object]:
    written = {
        "action": one.action.value,
        "ended": one.ended.value if one.ended else None,
        "why": one.reason.for_the_version_before if one.reason else None,
        "reason": one.reason.code.value if one.reason else None,
        "facts": json.dumps(one.reason.facts) if one.reason else None,
        "joined": json.dumps(one.joined),
        "covers": _as_rows(one.covers),
        "because": json.dumps(one.because),
    }
    return {**columns_of({name: kind for name, kind in _CHANGED.items() if name not in written}, one), **written}


def _as_rows(covers: Sequence[Covered]) -> str:
    return json.dumps([{"anchor_id": str(anchor_id), "code": code, "number": number} for anchor_id, code, number in covers])


def _covering(tasks: str) -> str:
    """An INSERT of what the tasks of this part of a statement cover; each brings the keys in ``covers``."""
    return f"""
        INSERT INTO task_cover (clinic_id, task_id, anchor_id, code, number)
        SELECT CAST(:clinic_id AS uuid), {tasks}.task_id, item.anchor_id, item.code, item.number
        FROM {tasks}, jsonb_to_recordset({tasks}.covers) AS item(anchor_id uuid, code text, number int)
        ON CONFLICT DO NOTHING
    """  # noqa: S608 - our own text


_ITEM = types_of(CareTask, "anchor_id", "code", "number", "generation")
_MADE = {
    **{name: kind for name, kind in COLUMNS.items() if name not in ("plan_id", "patient_number", "suggested_owner_id")},
    **types_of(TaskHistory, "actor", "caused_by"),
    **_ITEM,
    "covers": "JSONB",
    "anew": "BOOLEAN",
    "suggested_role": "VARCHAR",
    "because": "JSONB",
}
_TAKEN = [name for name in (*COLUMNS, *_ITEM) if name not in ("plan_id", "patient_number", "suggested_owner_id", "ordinal")]
_MAKE = Statement(
    f"""
    WITH given AS (SELECT * FROM {rows_of(_MADE)}),
    made AS (
        INSERT INTO care_task (clinic_id, version, due_kept, held_seconds, changed_at, plan_id, patient_number, suggested_owner_id, ordinal,
                               {", ".join(_TAKEN)})
        SELECT CAST(:clinic_id AS uuid), 1, false, 0, created_at, followed.plan_id, coalesce(p.patient_number, ''),
            CASE suggested_role WHEN 'therapist' THEN followed.therapist_id END,
            CASE WHEN anew THEN row_number() OVER (PARTITION BY focus_id, kind, anew ORDER BY given.number, task_id) + (
                SELECT coalesce(max(t.ordinal), 0) FROM care_task t
                WHERE t.clinic_id = CAST(:clinic_id AS uuid) AND t.focus_id = given.focus_id AND t.kind = given.kind
            ) ELSE ordinal END,
            {", ".join(f"given.{name}" for name in _TAKEN)}
        FROM given
        JOIN patient p ON p.clinic_id = CAST(:clinic_id AS uuid) AND p.patient_id = given.patient_id
        LEFT JOIN plan followed ON followed.clinic_id = CAST(:clinic_id AS uuid) AND followed.infusion_id = given.infusion_id
        RETURNING *
    ),
    told AS (
        INSERT INTO task_history
            (clinic_id, task_id, version, action, changed_at, actor, caused_by, status, business_status, owner_id, due_at, details)
        SELECT m.clinic_id, m.task_id, 1, 'created', m.created_at, g.actor, g.caused_by, m.status, m.business_status, m.owner_id, m.due_at,
               g.because
        FROM made m JOIN given g USING (task_id)
    ),
    covering AS ({_covering("given")})
    SELECT task_id FROM made
    """  # noqa: S608 - column names of our own
)
_CHANGED = {
    **types_of(
        CareTask, "task_id", "window_starts_at", "due_at", "expires_at", "status_reason", "refused_due_at", "superseded_by", "why",
        "reason", "facts",
    ),
    "seen": "INTEGER",
    "ended": "VARCHAR",
    "offered": "BOOLEAN",
    "action": "VARCHAR",
    "joined": "JSONB",
    "covers": "JSONB",
    "caused_by": "UUID",
    "because": "JSONB",
}  # fmt: skip
_LATE = """
    CASE WHEN given.ended IS NOT NULL THEN t.business_status
         WHEN given.offered THEN 'offered'
         WHEN given.due_at >= :now OR t.business_status = 'offered' THEN 'to-do'
         WHEN t.business_status = 'missed' AND (given.expires_at IS NULL OR given.expires_at >= :now) THEN 'overdue'
         ELSE t.business_status
    END
"""
"""What had been overdue and is due again is to be done; what was offered and is so no more is chased, by its clock."""
_TOLD = """
    because || CASE action
        WHEN 'moved' THEN jsonb_build_object('due_before', due_before)
        WHEN 'due-kept' THEN jsonb_build_object('due_refused', refused_due_at)
        WHEN 'cancelled' THEN jsonb_build_object('reason', status_reason)
        WHEN 'extended' THEN jsonb_build_object('items', joined)
        ELSE '{}'::jsonb
    END
"""
_CHANGE = text(
    f"""
    WITH given AS (SELECT * FROM {rows_of(_CHANGED)}),
    changed AS (
        UPDATE care_task t SET version = t.version + 1, changed_at = :now,
            window_starts_at = given.window_starts_at, due_at = coalesce(given.due_at, t.due_at), expires_at = given.expires_at,
            refused_due_at = given.refused_due_at, due_kept = given.refused_due_at IS NOT NULL, superseded_by = given.superseded_by,
            business_status = {_LATE},
            status = coalesce(given.ended, t.status),
            status_reason = CASE WHEN given.ended IS NULL THEN t.status_reason ELSE given.status_reason END,
            closed_at = CASE WHEN given.ended IS NOT NULL THEN coalesce(t.closed_at, :now) END,
            held_since = CASE WHEN given.ended IS NULL THEN t.held_since END,
            held_until = CASE WHEN given.ended IS NULL THEN t.held_until END,
            held_seconds = t.held_seconds + CASE WHEN given.ended IS NULL THEN 0
                ELSE coalesce(extract(epoch FROM CAST(:now AS timestamptz) - t.held_since)::int, 0) END,
            why = coalesce(given.why, t.why), reason = coalesce(given.reason, t.reason), facts = CASE
                WHEN given.facts IS NULL THEN t.facts
                WHEN jsonb_array_length(given.joined) = 0 THEN given.facts
                ELSE coalesce(t.facts, '{{}}') || given.facts
                     || jsonb_build_object('missed', coalesce(t.facts -> 'missed', '[]') || (given.facts -> 'missed'))
            END,
            details = CASE WHEN jsonb_array_length(given.joined) = 0 THEN t.details
                ELSE jsonb_set(t.details, '{{items}}', coalesce(t.details -> 'items', '[]') || given.joined) END
        FROM given
        WHERE t.clinic_id = CAST(:clinic_id AS uuid) AND t.task_id = given.task_id AND t.version = given.seen
        RETURNING t.*, OLD.due_at AS due_before, given.action, given.joined, given.caused_by, given.because
    ),
    told AS ({telling("changed", "action", details=_TOLD, caused_by="caused_by")}),
    covering AS ({_covering("given")})
    SELECT task_id, {WHERE_OPEN} AS is_open, business_status, due_at, expires_at FROM changed
    """  # noqa: S608 - our own text
)
