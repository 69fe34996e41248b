"""The default order of open work is read from indexes, each view by level and due time; and so is what is open of one patient."""

from alembic import op

from shared.migrations import execute

revision = "followup_0010"
down_revision = "followup_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        CREATE INDEX ix_care_task_unassigned_by_priority ON care_task (clinic_id, priority_rank, due_at, task_id)
            WHERE status = 'requested';
        CREATE INDEX ix_care_task_mine_by_priority ON care_task (clinic_id, owner_id, priority_rank, due_at, task_id)
            WHERE status = 'accepted';
        CREATE INDEX ix_care_task_on_hold_by_priority ON care_task (clinic_id, priority_rank, due_at, task_id)
            WHERE status = 'on-hold';
        CREATE INDEX ix_care_task_kind_by_priority ON care_task (clinic_id, kind, priority_rank, due_at, task_id)
            WHERE status IN ('requested', 'accepted', 'on-hold');
        CREATE INDEX ix_care_task_owner_by_priority ON care_task (clinic_id, owner_id, priority_rank, due_at, task_id)
            WHERE owner_id IS NOT NULL AND status IN ('requested', 'accepted', 'on-hold');
        CREATE INDEX ix_care_task_open_of_patient ON care_task (clinic_id, patient_id, kind)
            WHERE status IN ('requested', 'accepted', 'on-hold');
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
