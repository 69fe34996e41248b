"""Readings that are struck as entered in error, and records that somebody must look at again because of what was found out later."""

from alembic import op

from shared.migrations import execute, grant

revision = "sessions_0005"
down_revision = "sessions_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE vital_signs
            ADD COLUMN struck_at timestamptz,
            ADD COLUMN struck_by varchar,
            ADD COLUMN struck_reason varchar,
            ADD CONSTRAINT ck_vital_signs_struck_is_whole CHECK (
                (struck_at IS NULL) = (struck_by IS NULL) AND (struck_at IS NULL) = (struck_reason IS NULL));
        ALTER TABLE infusion
            ADD COLUMN needs_review boolean NOT NULL DEFAULT false,
            ADD COLUMN reviews jsonb NOT NULL DEFAULT '[]';
        CREATE INDEX ix_infusion_needs_review ON infusion (clinic_id, scheduled_at, infusion_id) WHERE needs_review;
        """,
    )
    # What was read stays as it was saved: only that it was struck can be added.
    grant(op, "vital_signs", "UPDATE (struck_at, struck_by, struck_reason)")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
