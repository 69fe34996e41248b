"""Infusions with their versions, vital signs, and what is known by events of clinics, patients, consents and courses."""

from alembic import op

from shared.migrations import execute, grant, protect

revision = "sessions_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        CREATE TABLE clinic (
            clinic_id uuid NOT NULL,
            time_zone varchar NOT NULL,
            active boolean NOT NULL,
            version int NOT NULL,
            CONSTRAINT pk_clinic PRIMARY KEY (clinic_id)
        );

        CREATE TABLE patient (
            clinic_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            patient_number varchar,
            time_zone varchar,
            version int NOT NULL,
            status varchar NOT NULL,
            status_version int NOT NULL,
            CONSTRAINT pk_patient PRIMARY KEY (clinic_id, patient_id)
        );

        CREATE TABLE consent (
            clinic_id uuid NOT NULL,
            consent_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            consent_type varchar NOT NULL,
            signed_at timestamptz,
            valid_until timestamptz,
            revoked_at timestamptz,
            CONSTRAINT pk_consent PRIMARY KEY (clinic_id, consent_id)
        );
        CREATE INDEX ix_consent_patient ON consent (clinic_id, patient_id);

        CREATE TABLE course (
            clinic_id uuid NOT NULL,
            course_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            status varchar NOT NULL,
            protocol_code varchar NOT NULL,
            protocol_version int NOT NULL,
            therapist_id uuid,
            coordinator_id uuid,
            version int NOT NULL,
            CONSTRAINT pk_course PRIMARY KEY (clinic_id, course_id)
        );

        CREATE TABLE infusion (
            clinic_id uuid NOT NULL,
            infusion_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            course_id uuid NOT NULL,
            version int NOT NULL,
            told_version int NOT NULL,
            state varchar(32) NOT NULL,
            changed_at timestamptz NOT NULL,
            scheduled_at timestamptz NOT NULL,
            arrived_at timestamptz,
            pump_started_at timestamptz,
            pump_ended_at timestamptz,
            departed_at timestamptz,
            ended_at timestamptz,
            ended_version int,
            weight_kg numeric(9, 3),
            dose_ordered_mg numeric(9, 3),
            dose_given_mg numeric(9, 3),
            volume_given_ml numeric(9, 3),
            concentration_mg_per_ml numeric(9, 3),
            aborted boolean NOT NULL,
            first_of_course boolean NOT NULL,
            cancelled_by varchar,
            reason_code varchar,
            reason varchar,
            overrides jsonb NOT NULL,
            error_requested_by uuid,
            error_requested_at timestamptz,
            error_confirmed_by uuid,
            CONSTRAINT pk_infusion PRIMARY KEY (clinic_id, infusion_id),
            CONSTRAINT fk_infusion_patient FOREIGN KEY (clinic_id, patient_id) REFERENCES patient (clinic_id, patient_id),
            CONSTRAINT fk_infusion_course FOREIGN KEY (clinic_id, course_id) REFERENCES course (clinic_id, course_id),
            CONSTRAINT ck_infusion_state CHECK (state IN (
                'scheduled', 'arrived', 'in-progress', 'recovery', 'completed', 'stopped-early', 'left-against-advice', 'transferred',
                'cancelled', 'no-show', 'not-done', 'entered-in-error')),
            CONSTRAINT ck_infusion_dose_not_negative CHECK (dose_given_mg >= 0),
            CONSTRAINT ck_infusion_pump_forwards CHECK (pump_ended_at >= pump_started_at),
            CONSTRAINT ck_infusion_two_people CHECK (error_confirmed_by <> error_requested_by),
            CONSTRAINT ck_infusion_ended_is_whole CHECK (ended_at IS NULL OR (
                ended_version IS NOT NULL AND departed_at IS NOT NULL AND dose_given_mg IS NOT NULL
                AND pump_started_at IS NOT NULL AND pump_ended_at IS NOT NULL))
        ) WITH (fillfactor = 80);
        CREATE INDEX ix_infusion_patient ON infusion (clinic_id, patient_id, scheduled_at);
        CREATE INDEX ix_infusion_course ON infusion (clinic_id, course_id);
        CREATE INDEX ix_infusion_scheduled ON infusion (clinic_id, scheduled_at, infusion_id);
        CREATE INDEX ix_infusion_ended ON infusion (clinic_id, ended_at, infusion_id) WHERE ended_at IS NOT NULL;

        CREATE TABLE infusion_version (
            clinic_id uuid NOT NULL,
            infusion_id uuid NOT NULL,
            version int NOT NULL,
            step varchar NOT NULL,
            actor varchar NOT NULL,
            reason varchar,
            recorded_at timestamptz NOT NULL,
            snapshot jsonb NOT NULL,
            CONSTRAINT pk_infusion_version PRIMARY KEY (clinic_id, infusion_id, version),
            CONSTRAINT fk_infusion_version_infusion FOREIGN KEY (clinic_id, infusion_id) REFERENCES infusion (clinic_id, infusion_id)
        );

        CREATE TABLE vital_signs (
            clinic_id uuid NOT NULL,
            vital_signs_id uuid NOT NULL,
            infusion_id uuid NOT NULL,
            measured_at timestamptz NOT NULL,
            recorded_at timestamptz NOT NULL,
            actor varchar NOT NULL,
            systolic_mmhg int,
            diastolic_mmhg int,
            heart_rate_per_min int,
            spo2_percent int,
            respiratory_rate_per_min int,
            moaa_s_score int,
            CONSTRAINT pk_vital_signs PRIMARY KEY (clinic_id, vital_signs_id),
            CONSTRAINT fk_vital_signs_infusion FOREIGN KEY (clinic_id, infusion_id) REFERENCES infusion (clinic_id, infusion_id)
        );
        CREATE INDEX ix_vital_signs_infusion ON vital_signs (clinic_id, infusion_id, measured_at, vital_signs_id);
        """,
    )
    for table in ("clinic", "patient", "consent", "course", "infusion", "infusion_version", "vital_signs"):
        protect(op, table)
    for table in ("clinic", "patient", "consent", "course", "infusion"):
        grant(op, table, "SELECT, INSERT, UPDATE")
    # What was recorded stays: the service can add versions and readings, and can change or remove none.
    for table in ("infusion_version", "vital_signs"):
        grant(op, table, "SELECT, INSERT")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
