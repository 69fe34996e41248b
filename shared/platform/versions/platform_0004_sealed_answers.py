"""Stored answers are sealed. What a release before this one stored stays readable until it is forgotten; it finds an empty body in ours."""

from alembic import op

revision = "platform_0004"
down_revision = "platform_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE public.idempotency_key ADD COLUMN sealed bytea")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
