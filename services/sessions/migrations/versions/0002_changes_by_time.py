"""Finding what was changed in a time: the completeness audit looks for corrections of infusions that ended long before."""

from alembic import op

from shared.migrations import execute

revision = "sessions_0002"
down_revision = "sessions_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(op, "CREATE INDEX ix_infusion_version_recorded ON infusion_version (clinic_id, recorded_at, infusion_id);")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
