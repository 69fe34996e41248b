"""By which version of the limits readings were judged, and what it marked: limits may be another clinic's or change later."""

from alembic import op

from shared.migrations import execute

revision = "sessions_0006"
down_revision = "sessions_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE vital_signs
            ADD COLUMN limits_version int,
            ADD COLUMN marks jsonb;
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
