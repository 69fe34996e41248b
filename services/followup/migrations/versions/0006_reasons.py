"""Why a task is there, as a code with facts. What is open gets a code from what it holds; what has ended is told of by its kind."""

from alembic import op

from shared.migrations import execute

revision = "followup_0006"
down_revision = "followup_0005"
branch_labels = None
depends_on = None

CODES = r"""
    WITH held AS (
        SELECT t.clinic_id, t.task_id, t.kind, t.why, t.created_at, i.state AS outcome, i.pump_ended_at AS ended_at,
               c.code AS check_in, c.due_at AS answer_due_at, coalesce(p.time_zone, c.patient_time_zone) AS zone,
               ARRAY(SELECT item ->> 'code' FROM jsonb_array_elements(t.details -> 'items') AS item ORDER BY 1) AS listed,
               ARRAY(
                   SELECT w.rule_id FROM check_in_worry w
                   WHERE w.clinic_id = t.clinic_id AND w.check_in_id = t.focus_id AND w.raised_at = t.created_at
                     AND w.item <> 'help_now' ORDER BY w.rule_id
               ) AS rules,
               EXISTS (
                   SELECT FROM check_in_worry w
                   WHERE w.clinic_id = t.clinic_id AND w.check_in_id = t.focus_id AND w.item = 'help_now'
               ) AND t.priority = 'stat' AS called_for_help
        FROM care_task t
        LEFT JOIN infusion i ON i.clinic_id = t.clinic_id AND i.infusion_id = t.infusion_id
        LEFT JOIN patient p ON p.clinic_id = t.clinic_id AND p.patient_id = t.patient_id
        LEFT JOIN check_in c ON c.clinic_id = t.clinic_id AND c.check_in_id = t.focus_id
        WHERE t.status IN ('requested', 'accepted', 'on-hold') AND t.reason IS NULL
    ),
    coded AS (
        SELECT *, CASE kind
            WHEN 'integration-session' THEN 'session-due'
            WHEN 'same-evening-call' THEN 'stopped-early'
            WHEN 'left-against-advice' THEN 'left-early'
            WHEN 'safety-offer-call' THEN 'patient-left'
            WHEN 'due-time-review' THEN 'due-kept'
            WHEN 'cancellation-review' THEN 'called-off'
            WHEN 'check-in-overdue-call' THEN 'not-answered'
            WHEN 'catch-up-call' THEN CASE WHEN check_in IS NULL THEN 'heard-late' ELSE 'gave-way-in-vain' END
            WHEN 'rebook' THEN CASE WHEN why LIKE 'Visit %' THEN 'no-infusion' ELSE 'nothing-given' END
            WHEN 'staff-check-in' THEN CASE
                WHEN check_in IS NULL THEN 'transferred'
                WHEN why LIKE '%: taken-up-again' THEN 'asked-after-all'
                ELSE 'asked-by-telephone' END
            WHEN 'safety-review' THEN CASE WHEN called_for_help THEN 'call-for-help' ELSE 'worrying-answers' END
        END AS code
        FROM held
    )
    UPDATE care_task t SET reason = o.code, facts = jsonb_strip_nulls(jsonb_build_object(
        'outcome', o.outcome, 'ended_at', o.ended_at, 'zone', o.zone, 'check_in', o.check_in,
        'answer_due_at', CASE WHEN o.code = 'not-answered' THEN o.answer_due_at END,
        'at', CASE WHEN o.kind = 'safety-review' THEN o.created_at END,
        'rules', CASE WHEN o.kind = 'safety-review' THEN to_jsonb(o.rules) END,
        'ended', CASE WHEN o.kind = 'safety-review' THEN substring(o.why FROM ' was (cancelled|superseded), ') END,
        'cause', CASE o.code
            WHEN 'patient-left' THEN substring(o.why FROM '^([a-z-]+) after an infusion')
            WHEN 'called-off' THEN coalesce(
                substring(o.why FROM '^([a-z-]+): '), substring(o.why FROM '; ([a-z-]+): '), 'no-drug-given')
            WHEN 'asked-by-telephone' THEN substring(o.why FROM ': ([a-z-]+)$')
            WHEN 'asked-after-all' THEN 'taken-up-again' END,
        'state', CASE o.code WHEN 'no-infusion' THEN substring(o.why FROM '^Visit ([a-z-]+):') END,
        'missed', CASE o.code WHEN 'heard-late' THEN to_jsonb(o.listed) END,
        'cancelled', CASE o.code WHEN 'called-off' THEN to_jsonb(o.listed) END,
        'kept', CASE o.code WHEN 'due-kept'
            THEN to_jsonb(string_to_array(substring(o.why FROM 'due time of (.*) is in the past'), ', ')) END
    ))
    FROM coded o WHERE t.clinic_id = o.clinic_id AND t.task_id = o.task_id
    """


def upgrade() -> None:
    execute(op, "ALTER TABLE care_task ADD COLUMN reason varchar, ADD COLUMN facts jsonb;")
    execute(op, CODES)


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
