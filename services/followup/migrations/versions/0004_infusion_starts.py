"""When each infusion was started: the start of the next one takes the place of a check-in that is due after it.

Of infusions that were told of before, the start comes with their next event; until then they replace nothing, and their patients are asked.
"""

from alembic import op

from shared.migrations import execute

revision = "followup_0004"
down_revision = "followup_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(op, "ALTER TABLE infusion ADD COLUMN started_at timestamptz;")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
