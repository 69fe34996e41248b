"""Which version of patients and courses was told with its spans: what a replica of the release before makes beside us is told again."""

from alembic import op

from shared.migrations import execute

revision = "intake_0009"
down_revision = "intake_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Who is active, and a course without a step, is known rightly by an event without spans. ``spans_told`` came with the release that
    # this belongs to, so no release before knows it; its indexes go with it.
    execute(
        op,
        """
        ALTER TABLE patient ADD COLUMN told_version integer;
        UPDATE patient SET told_version = version WHERE status = 'active';
        ALTER TABLE patient DROP COLUMN spans_told;
        CREATE INDEX ix_patient_untold ON patient (clinic_id, patient_id) WHERE told_version IS DISTINCT FROM version;
        ALTER TABLE course ADD COLUMN told_version integer;
        UPDATE course c SET told_version = version
            WHERE NOT EXISTS (SELECT FROM course_change s WHERE s.clinic_id = c.clinic_id AND s.course_id = c.course_id);
        ALTER TABLE course DROP COLUMN spans_told;
        CREATE INDEX ix_course_untold ON course (clinic_id, course_id) WHERE told_version IS DISTINCT FROM version;
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
