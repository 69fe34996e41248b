"""With which version a patient left, and with which decision consent to treatment ended: each departure is offered a call of its own.

What there was before stays without: its offers are numbered as they were.
"""

from alembic import op

from shared.migrations import execute

revision = "followup_0012"
down_revision = "followup_0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE patient ADD COLUMN left_version integer;
        ALTER TABLE patient ADD COLUMN revoked_version integer;
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
