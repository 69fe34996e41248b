"""How often a message failed for a reason of its own: after some failures a person takes over."""

from alembic import op

from shared.migrations import execute

revision = "followup_0003"
down_revision = "followup_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(op, "ALTER TABLE platform.message_queue ADD COLUMN failures integer NOT NULL DEFAULT 0;")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
