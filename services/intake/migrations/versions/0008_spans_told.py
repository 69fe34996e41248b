"""Of whom it is still to be told how things stood: patients who died or left, and courses that took a step, before it was told at all."""

from alembic import op

from shared.migrations import execute

revision = "intake_0008"
down_revision = "intake_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE patient ADD COLUMN spans_told boolean NOT NULL DEFAULT true;
        UPDATE patient SET spans_told = false WHERE status <> 'active';
        CREATE INDEX ix_patient_untold ON patient (clinic_id, patient_id) WHERE NOT spans_told;
        ALTER TABLE course ADD COLUMN spans_told boolean NOT NULL DEFAULT true;
        UPDATE course c SET spans_told = false
            WHERE EXISTS (SELECT FROM course_change s WHERE s.clinic_id = c.clinic_id AND s.course_id = c.course_id);
        CREATE INDEX ix_course_untold ON course (clinic_id, course_id) WHERE NOT spans_told;
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
