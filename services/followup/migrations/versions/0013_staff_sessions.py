"""Sessions of staff on pages, by one-time links: in demos and tests; production has none.

``platform.staff_session`` tells which clinic a session belongs to, before any clinic is entered. It holds hashes, ids and times only.
"""

from alembic import op

from shared.migrations import execute, grant

revision = "followup_0013"
down_revision = "followup_0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        CREATE TABLE platform.staff_session (
            session_sha256 bytea PRIMARY KEY,
            link_sha256 bytea NOT NULL UNIQUE,
            clinic_id uuid NOT NULL,
            practitioner_id uuid NOT NULL,
            expires_at timestamptz NOT NULL
        );
        CREATE INDEX ON platform.staff_session (expires_at);
        """,
    )
    grant(op, "platform.staff_session", "SELECT, INSERT, DELETE")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
