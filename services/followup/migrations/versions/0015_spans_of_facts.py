"""When patients were followed and courses ran, whether messages may be sent, and when a patient was discharged, as they were told.

What was told before the upgrade stays unknown here until it is told anew: who reads it falls back on the status and the plan of today.
"""

from alembic import op

from shared.migrations import execute

revision = "followup_0015"
down_revision = "followup_0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE patient ADD COLUMN active jsonb;
        ALTER TABLE patient ADD COLUMN messages_allowed boolean;
        ALTER TABLE course ADD COLUMN ran jsonb;
        ALTER TABLE infusion ADD COLUMN discharged_at timestamptz;
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
