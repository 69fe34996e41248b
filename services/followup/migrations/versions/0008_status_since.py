"""Since when a patient's status is what it is: what was missed while one was recorded by mistake."""

from alembic import op

from shared.migrations import execute

revision = "followup_0008"
down_revision = "followup_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(op, "ALTER TABLE patient ADD COLUMN status_since timestamptz")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
