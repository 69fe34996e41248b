"""Under which version of a patient's contact each link went out, and the newest that intake told of.

What there was before counts as the first version, as it does at intake.
"""

from alembic import op

from shared.migrations import execute

revision = "followup_0011"
down_revision = "followup_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE patient ADD COLUMN contact_version integer NOT NULL DEFAULT 1;
        ALTER TABLE patient_link ADD COLUMN contact_version integer NOT NULL DEFAULT 1;
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
