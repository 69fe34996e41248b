"""A death that was entered in error: the version with which that was declared, and of each recorded death its day."""

from alembic import op

from shared.migrations import execute

revision = "intake_0004"
down_revision = "intake_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE patient ADD COLUMN death_corrected integer;
        ALTER TABLE patient_change ADD COLUMN died_on date;
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
