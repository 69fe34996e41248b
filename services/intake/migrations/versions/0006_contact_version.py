"""How often the way changed by which messages go to a patient: what went out by an earlier way is called back."""

from alembic import op

from shared.migrations import execute

revision = "intake_0006"
down_revision = "intake_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(op, "ALTER TABLE patient ADD COLUMN contact_version integer NOT NULL DEFAULT 1;")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
