"""Check-ins, their answers and worries, links of patients, and messages.

``platform.check_in_link`` and ``platform.check_in_session`` tell which clinic a token belongs to, before any clinic is entered;
``platform.message_queue`` is what the sending worker looks through. They hold hashes, ids and times only.
"""

from alembic import op

from shared.migrations import execute, grant, protect

revision = "followup_0002"
down_revision = "followup_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        CREATE TABLE check_in (
            clinic_id uuid NOT NULL,
            check_in_id uuid NOT NULL,
            plan_id uuid,
            patient_id uuid NOT NULL,
            patient_number varchar NOT NULL,
            patient_time_zone varchar NOT NULL,
            infusion_id uuid,
            course_id uuid NOT NULL,
            code varchar NOT NULL,
            ordinal integer NOT NULL,
            status varchar(32) NOT NULL,
            version integer NOT NULL,
            opens_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            form_code varchar,
            form_version integer,
            opened_at timestamptz,
            submitted_at timestamptz,
            late boolean NOT NULL,
            due_kept boolean NOT NULL,
            level varchar(32),
            reviews integer NOT NULL,
            ended_reason varchar,
            CONSTRAINT pk_check_in PRIMARY KEY (clinic_id, check_in_id),
            CONSTRAINT fk_check_in_patient FOREIGN KEY (clinic_id, patient_id) REFERENCES patient (clinic_id, patient_id),
            CONSTRAINT fk_check_in_plan FOREIGN KEY (clinic_id, plan_id) REFERENCES plan (clinic_id, plan_id),
            CONSTRAINT uq_check_in_infusion UNIQUE (clinic_id, infusion_id, code, ordinal),
            CONSTRAINT ck_check_in_status CHECK (
                status IN ('planned', 'open', 'overdue', 'submitted', 'expired', 'superseded', 'cancelled')),
            CONSTRAINT ck_check_in_level CHECK (level IN ('stat', 'urgent', 'same-day', 'routine')),
            CONSTRAINT ck_check_in_times CHECK (opens_at <= due_at AND due_at <= expires_at),
            CONSTRAINT ck_check_in_form CHECK (form_code IS NOT NULL OR status IN ('planned', 'superseded', 'cancelled')),
            CONSTRAINT ck_check_in_submitted CHECK ((status = 'submitted') = (submitted_at IS NOT NULL))
        );
        CREATE UNIQUE INDEX uq_check_in_course ON check_in (clinic_id, course_id, code, ordinal) WHERE infusion_id IS NULL;
        CREATE INDEX ix_check_in_patient ON check_in (clinic_id, patient_id, opens_at, check_in_id);

        CREATE TABLE check_in_answers (
            clinic_id uuid NOT NULL,
            check_in_id uuid NOT NULL,
            form_code varchar NOT NULL,
            form_version integer NOT NULL,
            language varchar NOT NULL,
            answers jsonb NOT NULL,
            received_at timestamptz NOT NULL,
            CONSTRAINT pk_check_in_answers PRIMARY KEY (clinic_id, check_in_id),
            CONSTRAINT fk_check_in_answers_check_in FOREIGN KEY (clinic_id, check_in_id) REFERENCES check_in (clinic_id, check_in_id)
        );

        CREATE TABLE check_in_partial (
            clinic_id uuid NOT NULL,
            check_in_partial_id uuid NOT NULL,
            check_in_id uuid NOT NULL,
            help_now boolean NOT NULL,
            answers jsonb NOT NULL,
            received_at timestamptz NOT NULL,
            CONSTRAINT pk_check_in_partial PRIMARY KEY (clinic_id, check_in_partial_id),
            CONSTRAINT fk_check_in_partial_check_in FOREIGN KEY (clinic_id, check_in_id) REFERENCES check_in (clinic_id, check_in_id)
        );
        CREATE INDEX ix_check_in_partial_check_in ON check_in_partial (clinic_id, check_in_id);

        CREATE TABLE check_in_worry (
            clinic_id uuid NOT NULL,
            check_in_id uuid NOT NULL,
            rule_id varchar NOT NULL,
            item varchar NOT NULL,
            rule_version integer NOT NULL,
            level varchar(32) NOT NULL,
            why varchar NOT NULL,
            source varchar NOT NULL,
            raised_at timestamptz NOT NULL,
            CONSTRAINT pk_check_in_worry PRIMARY KEY (clinic_id, check_in_id, rule_id, item),
            CONSTRAINT fk_check_in_worry_check_in FOREIGN KEY (clinic_id, check_in_id) REFERENCES check_in (clinic_id, check_in_id),
            CONSTRAINT ck_check_in_worry_level CHECK (level IN ('stat', 'urgent', 'same-day', 'routine'))
        );

        CREATE TABLE patient_link (
            clinic_id uuid NOT NULL,
            patient_link_id uuid NOT NULL,
            check_in_id uuid NOT NULL,
            issue integer NOT NULL,
            token_sha256 bytea NOT NULL,
            birth_date_salt varchar NOT NULL,
            birth_date_hash varchar NOT NULL,
            wrong_tries integer NOT NULL,
            status varchar(32) NOT NULL,
            language varchar NOT NULL,
            sender_name varchar NOT NULL,
            clinic_phone varchar NOT NULL,
            crisis_line varchar NOT NULL,
            created_at timestamptz NOT NULL,
            CONSTRAINT pk_patient_link PRIMARY KEY (clinic_id, patient_link_id),
            CONSTRAINT fk_patient_link_check_in FOREIGN KEY (clinic_id, check_in_id) REFERENCES check_in (clinic_id, check_in_id),
            CONSTRAINT uq_patient_link_check_in_id UNIQUE (clinic_id, check_in_id, issue),
            CONSTRAINT ck_patient_link_status CHECK (status IN ('open', 'used', 'dead')),
            CONSTRAINT ck_patient_link_wrong_tries CHECK (wrong_tries >= 0)
        );
        CREATE INDEX ix_patient_link_token ON patient_link (token_sha256);

        CREATE TABLE message (
            clinic_id uuid NOT NULL,
            message_id uuid NOT NULL,
            check_in_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            issue integer NOT NULL,
            status varchar(32) NOT NULL,
            queued_at timestamptz NOT NULL,
            leaves_at timestamptz NOT NULL,
            attempts integer NOT NULL,
            handed_over_at timestamptz,
            channel varchar,
            sent_at timestamptz,
            reason varchar,
            CONSTRAINT pk_message PRIMARY KEY (clinic_id, message_id),
            CONSTRAINT fk_message_check_in FOREIGN KEY (clinic_id, check_in_id) REFERENCES check_in (clinic_id, check_in_id),
            CONSTRAINT uq_message_check_in_id UNIQUE (clinic_id, check_in_id, issue),
            CONSTRAINT ck_message_status CHECK (status IN ('queued', 'sent', 'not-sent', 'cancelled')),
            CONSTRAINT ck_message_sent CHECK ((status = 'sent') = (sent_at IS NOT NULL))
        );
        CREATE INDEX ix_message_patient ON message (clinic_id, patient_id);

        CREATE TABLE platform.check_in_link (
            token_sha256 bytea PRIMARY KEY,
            clinic_id uuid NOT NULL,
            check_in_id uuid NOT NULL
        );

        CREATE TABLE platform.check_in_session (
            session_sha256 bytea PRIMARY KEY,
            clinic_id uuid NOT NULL,
            token_sha256 bytea NOT NULL,
            expires_at timestamptz NOT NULL
        );
        CREATE INDEX ON platform.check_in_session (expires_at);

        CREATE TABLE platform.message_queue (
            message_id uuid PRIMARY KEY,
            clinic_id uuid NOT NULL,
            leaves_at timestamptz NOT NULL,
            free_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            attempts integer NOT NULL DEFAULT 0
        );
        CREATE INDEX ON platform.message_queue (leaves_at);
        """,
    )
    for table in ("check_in", "check_in_answers", "check_in_partial", "check_in_worry", "patient_link", "message"):
        protect(op, table)
    for table in ("check_in", "patient_link", "message"):
        grant(op, table, "SELECT, INSERT, UPDATE")
    for table in ("check_in_answers", "check_in_partial", "check_in_worry"):
        grant(op, table, "SELECT, INSERT")
    grant(op, "platform.check_in_link", "SELECT, INSERT")
    grant(op, "platform.check_in_session", "SELECT, INSERT, DELETE")
    grant(op, "platform.message_queue", "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
