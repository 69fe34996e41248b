"""Since when an event waits for the bus. What is told again is older than that, by days.

The default is the moment of the migration for what waits then, and the transaction's for all that comes; an older release writes it too.
"""

from alembic import op

revision = "platform_0002"
down_revision = "platform_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE platform.outbox_pending ADD COLUMN pending_since timestamptz NOT NULL DEFAULT now()")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
