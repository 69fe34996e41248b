"""Who was said not to be the same person as whom; finding patients by birth date."""

from alembic import op

from shared.migrations import execute, grant, protect

revision = "intake_0007"
down_revision = "intake_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        CREATE INDEX ix_patient_birth_date ON patient (clinic_id, birth_date);
        CREATE TABLE distinct_patients (
            clinic_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            other_patient_id uuid NOT NULL,
            decided_at timestamptz NOT NULL,
            decided_by varchar NOT NULL,
            reason varchar NOT NULL,
            CONSTRAINT pk_distinct_patients PRIMARY KEY (clinic_id, patient_id, other_patient_id),
            CONSTRAINT fk_distinct_patients_patient FOREIGN KEY (clinic_id, patient_id) REFERENCES patient (clinic_id, patient_id)
        );
        CREATE INDEX ix_distinct_patients_other ON distinct_patients (clinic_id, other_patient_id);
        """,
    )
    protect(op, "distinct_patients")
    grant(op, "distinct_patients", "SELECT, INSERT")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
