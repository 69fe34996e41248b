"""What check-ins and tasks hang on, what calls and reviews cover, and by which protocol an anchor is followed.

The version before writes rows without them during an upgrade: whoever reads works them out from the kind, what it is about and the ordinal.
"""

from alembic import op

from shared.migrations import execute, grant, protect

revision = "followup_0016"
down_revision = "followup_0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE check_in ADD COLUMN anchor_id uuid;
        ALTER TABLE check_in ADD COLUMN number integer;
        ALTER TABLE check_in ADD COLUMN refused_due_at timestamptz;
        ALTER TABLE check_in ADD COLUMN superseded_by uuid;
        ALTER TABLE check_in ADD COLUMN caused_by uuid;
        ALTER TABLE care_task ADD COLUMN anchor_id uuid;
        ALTER TABLE care_task ADD COLUMN code varchar;
        ALTER TABLE care_task ADD COLUMN number integer;
        ALTER TABLE care_task ADD COLUMN generation integer;
        ALTER TABLE care_task ADD COLUMN refused_due_at timestamptz;
        ALTER TABLE care_task ADD COLUMN superseded_by uuid;

        CREATE TABLE task_cover (
            clinic_id uuid NOT NULL,
            task_id uuid NOT NULL,
            anchor_id uuid NOT NULL,
            code varchar NOT NULL,
            number integer NOT NULL,
            CONSTRAINT pk_task_cover PRIMARY KEY (clinic_id, task_id, anchor_id, code, number),
            CONSTRAINT fk_task_cover_task FOREIGN KEY (clinic_id, task_id) REFERENCES care_task (clinic_id, task_id)
        );
        CREATE TABLE anchor_pin (
            clinic_id uuid NOT NULL,
            anchor_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            protocol_code varchar NOT NULL,
            protocol_version integer NOT NULL,
            pinned_at timestamptz NOT NULL,
            CONSTRAINT pk_anchor_pin PRIMARY KEY (clinic_id, anchor_id),
            CONSTRAINT fk_anchor_pin_patient FOREIGN KEY (clinic_id, patient_id) REFERENCES patient (clinic_id, patient_id)
        );
        CREATE INDEX ix_anchor_pin_patient ON anchor_pin (clinic_id, patient_id);
        CREATE INDEX ix_infusion_given_in_course ON infusion (clinic_id, course_id, pump_ended_at, infusion_id)
            WHERE drug_given AND pump_ended_at IS NOT NULL AND state <> 'entered-in-error';
        CREATE INDEX ix_course_patient ON course (clinic_id, patient_id);
        CREATE INDEX ix_infusion_untrue ON infusion (clinic_id, course_id) WHERE drug_given AND state = 'entered-in-error';
        """,
    )
    for table in ("task_cover", "anchor_pin"):
        protect(op, table)
        grant(op, table, "SELECT, INSERT")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
