"""Projections, infusions, plans, weeks, care tasks with their history, and the audit of completeness."""

from alembic import op

from shared.migrations import execute, grant, protect

revision = "followup_0001"
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
            status varchar(32) NOT NULL,
            status_version int NOT NULL,
            treatment_signed_at timestamptz,
            treatment_revoked_at timestamptz,
            CONSTRAINT pk_patient PRIMARY KEY (clinic_id, patient_id),
            CONSTRAINT ck_patient_status CHECK (status IN ('active', 'withdrawn', 'deceased'))
        ) WITH (fillfactor = 80);

        CREATE TABLE course (
            clinic_id uuid NOT NULL,
            course_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            status varchar(32) NOT NULL,
            version int NOT NULL,
            CONSTRAINT pk_course PRIMARY KEY (clinic_id, course_id),
            CONSTRAINT ck_course_status CHECK (status IN ('active', 'on-hold', 'stopped', 'completed'))
        );

        CREATE TABLE infusion (
            clinic_id uuid NOT NULL,
            infusion_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            course_id uuid NOT NULL,
            version int NOT NULL,
            state varchar(32) NOT NULL,
            scheduled_at timestamptz,
            drug_given boolean,
            pump_ended_at timestamptz,
            CONSTRAINT pk_infusion PRIMARY KEY (clinic_id, infusion_id),
            CONSTRAINT fk_infusion_patient FOREIGN KEY (clinic_id, patient_id) REFERENCES patient (clinic_id, patient_id)
        ) WITH (fillfactor = 80);
        CREATE INDEX ix_infusion_patient ON infusion (clinic_id, patient_id, pump_ended_at);

        CREATE TABLE plan (
            clinic_id uuid NOT NULL,
            plan_id uuid NOT NULL,
            infusion_id uuid NOT NULL,
            infusion_version int NOT NULL,
            patient_id uuid NOT NULL,
            patient_number varchar NOT NULL,
            patient_time_zone varchar NOT NULL,
            course_id uuid NOT NULL,
            protocol_code varchar NOT NULL,
            protocol_version int NOT NULL,
            asked_protocol varchar,
            outcome varchar(32) NOT NULL,
            started_at timestamptz NOT NULL,
            pump_ended_at timestamptz NOT NULL,
            discharged_at timestamptz,
            first_of_course boolean NOT NULL,
            therapist_id uuid,
            coordinator_id uuid,
            status varchar(32) NOT NULL,
            status_reason varchar,
            generation int NOT NULL,
            version int NOT NULL,
            made_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            CONSTRAINT pk_plan PRIMARY KEY (clinic_id, plan_id),
            CONSTRAINT uq_plan_infusion UNIQUE (clinic_id, infusion_id),
            CONSTRAINT fk_plan_infusion FOREIGN KEY (clinic_id, infusion_id) REFERENCES infusion (clinic_id, infusion_id),
            CONSTRAINT ck_plan_status CHECK (status IN ('active', 'revoked', 'entered-in-error'))
        );
        CREATE INDEX ix_plan_patient ON plan (clinic_id, patient_id, pump_ended_at, plan_id);

        CREATE TABLE weekly_series (
            clinic_id uuid NOT NULL,
            course_id uuid NOT NULL,
            infusion_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            patient_number varchar NOT NULL,
            patient_time_zone varchar NOT NULL,
            protocol_code varchar NOT NULL,
            protocol_version int NOT NULL,
            day_0 date NOT NULL,
            begun_at timestamptz NOT NULL,
            next_week int NOT NULL,
            active boolean NOT NULL,
            CONSTRAINT pk_weekly_series PRIMARY KEY (clinic_id, course_id),
            CONSTRAINT fk_weekly_series_infusion FOREIGN KEY (clinic_id, infusion_id) REFERENCES infusion (clinic_id, infusion_id)
        );
        CREATE INDEX ix_weekly_series_infusion ON weekly_series (clinic_id, infusion_id);

        CREATE TABLE care_task (
            clinic_id uuid NOT NULL,
            task_id uuid NOT NULL,
            version int NOT NULL,
            kind varchar NOT NULL,
            focus_kind varchar NOT NULL,
            focus_id uuid NOT NULL,
            ordinal int NOT NULL,
            attempt int NOT NULL,
            plan_id uuid,
            infusion_id uuid,
            patient_id uuid NOT NULL,
            patient_number varchar NOT NULL,
            status varchar(32) NOT NULL,
            business_status varchar(32) NOT NULL,
            status_reason varchar,
            priority varchar(32) NOT NULL,
            priority_rank int NOT NULL,
            why varchar NOT NULL,
            details jsonb NOT NULL,
            window_starts_at timestamptz,
            due_at timestamptz NOT NULL,
            expires_at timestamptz,
            due_kept boolean NOT NULL,
            suggested_owner_id uuid,
            owner_id uuid,
            held_since timestamptz,
            held_until timestamptz,
            held_seconds int NOT NULL,
            outcome varchar(32),
            note varchar,
            performed_at timestamptz,
            created_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            closed_at timestamptz,
            CONSTRAINT pk_care_task PRIMARY KEY (clinic_id, task_id),
            CONSTRAINT uq_care_task_natural_key UNIQUE (clinic_id, focus_id, kind, ordinal, attempt),
            CONSTRAINT fk_care_task_patient FOREIGN KEY (clinic_id, patient_id) REFERENCES patient (clinic_id, patient_id),
            CONSTRAINT fk_care_task_plan FOREIGN KEY (clinic_id, plan_id) REFERENCES plan (clinic_id, plan_id),
            CONSTRAINT ck_care_task_status CHECK (
                status IN ('requested', 'accepted', 'on-hold', 'completed', 'cancelled', 'entered-in-error')),
            CONSTRAINT ck_care_task_requested_is_unassigned CHECK (status <> 'requested' OR owner_id IS NULL),
            CONSTRAINT ck_care_task_somebody_has_it CHECK (status NOT IN ('accepted', 'on-hold', 'completed') OR owner_id IS NOT NULL),
            CONSTRAINT ck_care_task_on_hold_until CHECK ((status = 'on-hold') = (held_until IS NOT NULL)),
            CONSTRAINT ck_care_task_completed_how CHECK ((status = 'completed') = (outcome IS NOT NULL)),
            CONSTRAINT ck_care_task_ended_when CHECK (
                (status IN ('completed', 'cancelled', 'entered-in-error')) = (closed_at IS NOT NULL))
        ) WITH (fillfactor = 90);
        CREATE INDEX ix_care_task_open_by_due ON care_task (clinic_id, due_at, task_id)
            WHERE status IN ('requested', 'accepted', 'on-hold');
        CREATE INDEX ix_care_task_open_by_priority ON care_task (clinic_id, priority_rank, due_at, task_id)
            WHERE status IN ('requested', 'accepted', 'on-hold');
        CREATE INDEX ix_care_task_open_by_age ON care_task (clinic_id, created_at, task_id)
            WHERE status IN ('requested', 'accepted', 'on-hold');
        CREATE INDEX ix_care_task_open_by_kind ON care_task (clinic_id, kind, due_at, task_id)
            WHERE status IN ('requested', 'accepted', 'on-hold');
        CREATE INDEX ix_care_task_unassigned ON care_task (clinic_id, due_at, task_id) WHERE status = 'requested';
        CREATE INDEX ix_care_task_mine ON care_task (clinic_id, owner_id, due_at, task_id) WHERE status = 'accepted';
        CREATE INDEX ix_care_task_on_hold ON care_task (clinic_id, due_at, task_id) WHERE status = 'on-hold';
        CREATE INDEX ix_care_task_done ON care_task (clinic_id, changed_at, task_id) WHERE status = 'completed';
        CREATE INDEX ix_care_task_cancelled ON care_task (clinic_id, changed_at, task_id)
            WHERE status IN ('cancelled', 'entered-in-error');
        CREATE INDEX ix_care_task_patient ON care_task (clinic_id, patient_id, due_at, task_id);
        CREATE INDEX ix_care_task_infusion ON care_task (clinic_id, infusion_id);

        CREATE TABLE task_history (
            clinic_id uuid NOT NULL,
            task_id uuid NOT NULL,
            version int NOT NULL,
            action varchar(32) NOT NULL,
            changed_at timestamptz NOT NULL,
            actor varchar NOT NULL,
            caused_by uuid,
            status varchar(32) NOT NULL,
            business_status varchar(32) NOT NULL,
            owner_id uuid,
            due_at timestamptz NOT NULL,
            details jsonb NOT NULL,
            CONSTRAINT pk_task_history PRIMARY KEY (clinic_id, task_id, version),
            CONSTRAINT fk_task_history_care_task FOREIGN KEY (clinic_id, task_id) REFERENCES care_task (clinic_id, task_id)
        );

        CREATE TABLE completeness_gap (
            clinic_id uuid NOT NULL,
            infusion_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            ended_at timestamptz NOT NULL,
            missing varchar[] NOT NULL,
            first_seen_at timestamptz NOT NULL,
            last_seen_at timestamptz NOT NULL,
            times_asked int NOT NULL,
            asked_at timestamptz,
            ask_again_at timestamptz NOT NULL,
            resolved_at timestamptz,
            CONSTRAINT pk_completeness_gap PRIMARY KEY (clinic_id, infusion_id)
        );
        CREATE INDEX ix_completeness_gap_open ON completeness_gap (clinic_id, first_seen_at, infusion_id) WHERE resolved_at IS NULL;

        CREATE TABLE completeness_run (
            clinic_id uuid NOT NULL,
            ran_at timestamptz NOT NULL,
            window_from timestamptz NOT NULL,
            window_to timestamptz NOT NULL,
            outcome varchar(32) NOT NULL,
            compared int NOT NULL,
            gaps int NOT NULL,
            CONSTRAINT pk_completeness_run PRIMARY KEY (clinic_id)
        );
        """,
    )
    changeable = ("clinic", "patient", "course", "infusion", "plan", "weekly_series", "care_task", "completeness_gap", "completeness_run")
    for table in (*changeable, "task_history"):
        protect(op, table)
    for table in changeable:
        grant(op, table, "SELECT, INSERT, UPDATE")
    # What happened to a task stays: the service can add to it, and can change or remove nothing.
    grant(op, "task_history", "SELECT, INSERT")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
