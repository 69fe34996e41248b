"""How things stood: when a patient was active, when a course ran, when consent stood, each as intake told it."""

from alembic import op

from shared.migrations import execute, grant, protect

revision = "sessions_0004"
down_revision = "sessions_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE patient ADD COLUMN active jsonb, ADD COLUMN active_version integer NOT NULL DEFAULT 0;
        ALTER TABLE course ADD COLUMN ran jsonb, ADD COLUMN ran_version integer NOT NULL DEFAULT 0;
        CREATE TABLE consent_standing (
            clinic_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            consent_type varchar NOT NULL,
            version integer NOT NULL,
            standing varchar NOT NULL,
            since timestamptz NOT NULL,
            until timestamptz,
            stood jsonb NOT NULL,
            CONSTRAINT pk_consent_standing PRIMARY KEY (clinic_id, patient_id, consent_type)
        );
        """,
    )
    protect(op, "consent_standing")
    grant(op, "consent_standing", "SELECT, INSERT, UPDATE")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
