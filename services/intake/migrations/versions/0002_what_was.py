"""When a patient withdrew or a death was recorded, and the order of a course's steps: what is told of how things stood."""

from alembic import op

from shared.migrations import execute

revision = "intake_0002"
down_revision = "intake_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE patient ADD COLUMN withdrawn_at timestamptz, ADD COLUMN deceased_at timestamptz;
        UPDATE patient p SET withdrawn_at = c.changed_at
            FROM patient_change c
            WHERE c.clinic_id = p.clinic_id AND c.patient_id = p.patient_id AND c.change = 'withdrawal' AND p.status <> 'active';
        UPDATE patient SET deceased_at = status_changed_at WHERE status = 'deceased';
        ALTER TABLE course_change ADD COLUMN course_version integer;
        CREATE INDEX ix_course_change_course_id ON course_change (clinic_id, course_id);
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
