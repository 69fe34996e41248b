"""The statements that write tasks. Each changes any number of tasks and tells of every change in their history, in one go."""

from sqlalchemy import text

from services.followup.tables import rows_of, types_of
from services.followup.tasks.models import WHERE_OPEN, CareTask, TaskHistory
from shared.statements import Statement

_NOTHING = "'{}'::jsonb"


def telling(changed: str, action: str, *, details: str = _NOTHING, caused_by: str = "CAST(:caused_by AS uuid)") -> str:
    """An INSERT that tells of the tasks which the part ``changed`` of a statement has changed; ``action`` and ``details`` are SQL."""
    return f"""
        INSERT INTO task_history
            (clinic_id, task_id, version, action, changed_at, actor, caused_by, status, business_status, owner_id, due_at, details)
        SELECT clinic_id, task_id, version, {action}, changed_at, :actor, {caused_by}, status, business_status, owner_id, due_at, {details}
        FROM {changed}
    """  # noqa: S608 - our own text


COLUMNS = types_of(
    CareTask, "task_id", "kind", "focus_kind", "focus_id", "ordinal", "attempt", "plan_id", "infusion_id", "patient_id",
    "patient_number", "status", "status_reason", "business_status", "priority", "priority_rank", "why", "reason", "facts", "details",
    "window_starts_at", "due_at", "expires_at", "suggested_owner_id", "owner_id", "created_at", "closed_at",
)  # fmt: skip
GIVEN = COLUMNS | types_of(TaskHistory, "actor", "caused_by")
"""What a new task's row is made of, and what its first line of history needs besides."""

_NAMES = ", ".join(COLUMNS)
ADD = Statement(
    f"""
    WITH given AS (SELECT * FROM {rows_of(GIVEN)}),
    made AS (
        INSERT INTO care_task (clinic_id, version, due_kept, held_seconds, changed_at, {_NAMES})
        SELECT CAST(:clinic_id AS uuid), 1, false, 0, created_at, {_NAMES} FROM given
        ON CONFLICT (clinic_id, focus_id, kind, ordinal, attempt) DO NOTHING RETURNING *
    ),
    told AS (
        INSERT INTO task_history
            (clinic_id, task_id, version, action, changed_at, actor, caused_by, status, business_status, owner_id, due_at, details)
        SELECT m.clinic_id, m.task_id, 1, 'created', m.created_at, g.actor, g.caused_by, m.status, m.business_status, m.owner_id, m.due_at,
               {_NOTHING}
        FROM made m JOIN given g USING (task_id)
    )
    SELECT task_id FROM made
    """  # noqa: S608 - our own text
)

_ABOUT = " UNION ALL ".join(
    f"""
    SELECT task_id FROM care_task
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND {WHERE_OPEN} AND {column} = ANY(CAST(:{column}s AS uuid[]))
    """  # noqa: S608 - our own text
    for column in ("patient_id", "infusion_id", "focus_id")
)
"""Looked for first and by an index each: with one condition for all three, PostgreSQL may read all that is open in the clinic."""
CANCEL = text(
    f"""
    WITH ended AS (
        UPDATE care_task SET status = :status, status_reason = :reason, closed_at = :now, changed_at = :now, version = version + 1,
            held_since = NULL, held_until = NULL,
            held_seconds = held_seconds + coalesce(extract(epoch FROM CAST(:now AS timestamptz) - held_since)::int, 0)
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND {WHERE_OPEN}
          AND task_id = ANY(ARRAY({_ABOUT}))
          AND kind <> ALL(CAST(:kept AS text[]))
          AND (CAST(:only AS text[]) IS NULL OR kind = ANY(CAST(:only AS text[])))
          AND (CAST(:because AS text) IS NULL OR care_task.reason = CAST(:because AS text))
          AND (CAST(:cause AS text) IS NULL OR care_task.facts ->> 'cause' = CAST(:cause AS text))
          AND (CAST(:up_to AS int) IS NULL OR ordinal <= CAST(:up_to AS int))
        RETURNING *
    ),
    told AS ({telling("ended", "'cancelled'", details="jsonb_build_object('reason', status_reason)")})
    SELECT kind, task_id FROM ended ORDER BY due_at, task_id
    """  # noqa: S608 - our own text
)

TIMES = types_of(CareTask, "kind", "ordinal", "why", "reason", "facts", "window_starts_at", "due_at", "expires_at", "suggested_owner_id")
_THESE = f"""
    t.clinic_id = CAST(:clinic_id AS uuid) AND t.focus_id = CAST(:focus_id AS uuid) AND t.kind = given.kind
    AND t.ordinal = given.ordinal AND t.attempt = 1 AND t.{WHERE_OPEN}
"""
MOVE = text(
    f"""
    WITH moved AS (
        UPDATE care_task t SET why = given.why, reason = given.reason, facts = given.facts,
            window_starts_at = given.window_starts_at,
            due_at = given.due_at, expires_at = given.expires_at, suggested_owner_id = given.suggested_owner_id, changed_at = :now,
            version = version + 1, business_status = CASE business_status WHEN 'offered' THEN 'offered' ELSE 'to-do' END
        FROM {rows_of(TIMES)}
        WHERE {_THESE} AND (t.window_starts_at, t.due_at, t.expires_at)
              IS DISTINCT FROM (given.window_starts_at, given.due_at, given.expires_at)
        RETURNING t.*, OLD.due_at AS due_before
    ),
    told AS ({telling("moved", "'moved'", details="jsonb_build_object('due_before', due_before)")})
    SELECT task_id, due_at, business_status FROM moved
    """  # noqa: S608 - our own text
)
KEEP_DUE = text(
    f"""
    WITH kept AS (
        UPDATE care_task t SET due_kept = true, changed_at = :now, version = version + 1
        FROM {rows_of(TIMES)}
        WHERE {_THESE} AND NOT t.due_kept AND t.due_at <> given.due_at
        RETURNING t.*, given.due_at AS due_refused
    ),
    told AS ({telling("kept", "'due-kept'", details="jsonb_build_object('due_refused', due_refused)")})
    SELECT kind FROM kept ORDER BY kind
    """  # noqa: S608 - our own text
)
OFFER = text(
    f"""
    WITH offered AS (
        UPDATE care_task SET business_status = 'offered', changed_at = :now, version = version + 1
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = CAST(:patient_id AS uuid) AND kind = ANY(CAST(:kinds AS text[]))
          AND {WHERE_OPEN} AND business_status <> 'offered'
        RETURNING *
    ),
    told AS ({telling("offered", "'offered'")})
    SELECT task_id FROM offered
    """  # noqa: S608 - our own text
)

JOINED = types_of(CareTask, "task_id", "infusion_id", "plan_id") | {"items": "JSONB", "missed": "JSONB", "joined_by": "UUID"}
"""What is added to a task that lists. One that lists what hangs on several infusions falls with none of them."""
EXTEND = text(
    f"""
    WITH extended AS (
        UPDATE care_task t SET changed_at = :now, version = version + 1, reason = :reason,
            details = jsonb_set(t.details, '{{items}}', coalesce(t.details -> 'items', '[]') || given.items),
            facts = coalesce(t.facts, '{{}}') || jsonb_build_object('missed', coalesce(t.facts -> 'missed', '[]') || given.missed),
            infusion_id = CASE WHEN t.infusion_id = given.infusion_id THEN t.infusion_id END,
            plan_id = CASE WHEN t.infusion_id = given.infusion_id THEN t.plan_id END
        FROM {rows_of(JOINED)}
        WHERE t.clinic_id = CAST(:clinic_id AS uuid) AND t.task_id = given.task_id
        RETURNING t.*, given.items AS joined, given.joined_by
    ),
    told AS ({telling("extended", "'extended'", details="jsonb_build_object('items', joined)", caused_by="joined_by")})
    SELECT count(*) FROM extended
    """  # noqa: S608 - our own text
)
OPEN_OF = text(
    f"""
    SELECT DISTINCT ON (patient_id) patient_id, task_id FROM care_task
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = ANY(CAST(:patients AS uuid[])) AND kind = :kind AND {WHERE_OPEN}
    ORDER BY patient_id, due_at, task_id
    """  # noqa: S608 - our own text
)

MARK_LATE = text(
    f"""
    WITH marked AS (
        UPDATE care_task SET changed_at = :now, version = version + 1,
            business_status = CASE WHEN expires_at < :now THEN 'missed' ELSE 'overdue' END
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND task_id = ANY(CAST(:ids AS uuid[])) AND {WHERE_OPEN} AND due_at < :now
          AND (business_status = 'to-do' OR (business_status = 'overdue' AND expires_at < :now))
        RETURNING *
    ),
    told AS ({telling("marked", "business_status", caused_by="NULL::uuid")})
    SELECT task_id, business_status, expires_at FROM marked
    """  # noqa: S608 - our own text
)
_SHORTER = "jsonb_build_object('until', held_until, 'reason', status_reason)"
HELD = {"patient_id": "UUID", "until": "TIMESTAMP WITH TIME ZONE", "event_id": "UUID"}
HOLD_LESS = text(
    f"""
    WITH shortened AS (
        UPDATE care_task t SET held_until = given.until, changed_at = :now, version = version + 1
        FROM {rows_of(HELD)}
        WHERE t.clinic_id = CAST(:clinic_id AS uuid) AND t.patient_id = given.patient_id AND t.kind = ANY(CAST(:kinds AS text[]))
          AND t.status = 'on-hold' AND t.held_until > given.until
        RETURNING t.*, given.event_id
    ),
    told AS ({telling("shortened", "'held'", details=_SHORTER, caused_by="event_id")})
    SELECT task_id, held_until FROM shortened
    """  # noqa: S608 - our own text
)
WAKE_UP = text(
    f"""
    WITH woken AS (
        UPDATE care_task SET status = CASE WHEN owner_id IS NULL THEN 'requested' ELSE 'accepted' END,
            status_reason = NULL, held_since = NULL, held_until = NULL, changed_at = :now, version = version + 1,
            held_seconds = held_seconds + extract(epoch FROM CAST(:now AS timestamptz) - held_since)::int
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND task_id = ANY(CAST(:ids AS uuid[])) AND status = 'on-hold' AND held_until <= :now
        RETURNING *
    ),
    told AS ({telling("woken", "'woke'", caused_by="NULL::uuid")})
    SELECT count(*) FROM woken
    """  # noqa: S608 - our own text
)
CLAIM = text(
    f"""
    WITH worker AS (
        SELECT practitioner_id FROM platform.practitioner
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND practitioner_id = CAST(:owner_id AS uuid) AND active
          AND roles && CAST(:roles AS text[])
        FOR SHARE
    ),
    claimed AS (
        UPDATE care_task SET status = 'accepted', owner_id = worker.practitioner_id, changed_at = :now, version = version + 1,
            released_because = NULL, status_reason = NULL, held_since = NULL, held_until = NULL,
            held_seconds = held_seconds + coalesce(extract(epoch FROM CAST(:now AS timestamptz) - held_since)::int, 0)
        FROM worker
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND task_id = CAST(:task_id AS uuid) AND owner_id IS NULL
          AND {WHERE_OPEN}
        RETURNING care_task.*
    ),
    told AS ({telling("claimed", "'claimed'", caused_by="NULL::uuid")})
    SELECT version FROM claimed
    """  # noqa: S608 - our own text
)
"""The share lock lets a role that is taken at this moment be taken before, or find the task claimed and release it."""
