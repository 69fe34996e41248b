"""What was last told of a patient's consents of one type. Empty at first: everybody's standing is told anew after the upgrade."""

from alembic import op

from shared.migrations import execute, grant, protect

revision = "intake_0003"
down_revision = "intake_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        CREATE TABLE consent_standing (
            clinic_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            consent_type varchar(32) NOT NULL,
            version integer NOT NULL,
            facts integer NOT NULL,
            CONSTRAINT pk_consent_standing PRIMARY KEY (clinic_id, patient_id, consent_type),
            CONSTRAINT fk_consent_standing_patient FOREIGN KEY (clinic_id, patient_id) REFERENCES patient (clinic_id, patient_id)
        );
        """,
    )
    protect(op, "consent_standing")
    grant(op, "consent_standing", "SELECT, INSERT, UPDATE")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
