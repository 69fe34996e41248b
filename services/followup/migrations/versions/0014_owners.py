"""Why nobody has a task that somebody had, who is on the care team of a course, and the view of what nobody has.

Tasks whose owner had left before are released by the worker that looks for them, which knows which roles a kind of work asks for.

A hold goes on without an owner who left. The version before, which may end such a hold during an upgrade, leaves the task as accepted by
nobody: that may be stored, so that its timers go on, and is shown as unassigned. A release later it may be refused again.
"""

from alembic import op

from shared.migrations import execute

revision = "followup_0014"
down_revision = "followup_0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE care_task ADD COLUMN released_because varchar;
        ALTER TABLE course ADD COLUMN responsible_clinician_id uuid;
        ALTER TABLE course ADD COLUMN therapist_id uuid;
        ALTER TABLE course ADD COLUMN coordinator_id uuid;
        ALTER TABLE care_task DROP CONSTRAINT ck_care_task_somebody_has_it;
        ALTER TABLE care_task ADD CONSTRAINT ck_care_task_somebody_did_it CHECK (status <> 'completed' OR owner_id IS NOT NULL);
        CREATE INDEX ix_care_task_unowned ON care_task (clinic_id, due_at, task_id)
            WHERE owner_id IS NULL AND status IN ('requested', 'accepted', 'on-hold');
        CREATE INDEX ix_care_task_unowned_by_priority ON care_task (clinic_id, priority_rank, due_at, task_id)
            WHERE owner_id IS NULL AND status IN ('requested', 'accepted', 'on-hold');
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
