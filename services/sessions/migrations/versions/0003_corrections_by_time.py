"""Finding what was corrected in a time among all that was recorded in it: the audit does so every minute."""

from alembic import op

from shared.migrations import execute

revision = "sessions_0003"
down_revision = "sessions_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        CREATE INDEX ix_infusion_version_correction ON infusion_version (clinic_id, recorded_at, infusion_id)
            WHERE step IN ('amend', 'entered-in-error', 'entered-in-error/confirm', 'first-of-course');
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
