"""How a patient's consent to treatment stands, as intake decided it."""

from alembic import op

from shared.migrations import execute

revision = "followup_0007"
down_revision = "followup_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE patient
            ADD COLUMN treatment_version integer NOT NULL DEFAULT 0,
            ADD COLUMN treatment_standing varchar,
            ADD COLUMN treatment_since timestamptz,
            ADD COLUMN treatment_until timestamptz,
            ADD COLUMN treatment_stood jsonb;
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
