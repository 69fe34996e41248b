"""What may be asked of a large queue has an index: orders and filters of what has ended, owners, what is offered, and all plans.

Most kinds of tasks are in some states only, which the planner of PostgreSQL does not know unless it is told to look.
"""

from alembic import op

from shared.migrations import execute

revision = "followup_0005"
down_revision = "followup_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        CREATE INDEX ix_care_task_offered ON care_task (clinic_id, due_at, task_id)
            WHERE business_status = 'offered' AND status IN ('requested', 'accepted', 'on-hold');
        CREATE INDEX ix_care_task_open_by_owner ON care_task (clinic_id, owner_id, due_at, task_id)
            WHERE owner_id IS NOT NULL AND status IN ('requested', 'accepted', 'on-hold');
        CREATE INDEX ix_care_task_done_by_owner ON care_task (clinic_id, owner_id, changed_at, task_id)
            WHERE status = 'completed';
        CREATE INDEX ix_care_task_done_by_kind ON care_task (clinic_id, kind, changed_at, task_id)
            WHERE status = 'completed';
        CREATE INDEX ix_care_task_done_by_priority ON care_task (clinic_id, priority_rank, due_at, task_id)
            WHERE status = 'completed';
        CREATE INDEX ix_care_task_done_by_due ON care_task (clinic_id, due_at, task_id)
            WHERE status = 'completed';
        CREATE INDEX ix_care_task_done_by_age ON care_task (clinic_id, created_at, task_id)
            WHERE status = 'completed';
        CREATE INDEX ix_care_task_cancelled_by_owner ON care_task (clinic_id, owner_id, changed_at, task_id)
            WHERE status IN ('cancelled', 'entered-in-error');
        CREATE INDEX ix_care_task_cancelled_by_kind ON care_task (clinic_id, kind, changed_at, task_id)
            WHERE status IN ('cancelled', 'entered-in-error');
        CREATE INDEX ix_care_task_cancelled_by_priority ON care_task (clinic_id, priority_rank, due_at, task_id)
            WHERE status IN ('cancelled', 'entered-in-error');
        CREATE INDEX ix_care_task_cancelled_by_due ON care_task (clinic_id, due_at, task_id)
            WHERE status IN ('cancelled', 'entered-in-error');
        CREATE INDEX ix_care_task_cancelled_by_age ON care_task (clinic_id, created_at, task_id)
            WHERE status IN ('cancelled', 'entered-in-error');
        CREATE INDEX ix_plan_ended ON plan (clinic_id, pump_ended_at, plan_id);
        CREATE STATISTICS care_task_kinds (mcv) ON kind, status FROM care_task;
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
