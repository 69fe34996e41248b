"""Clinics, practitioners, patients, consents, courses, and the machine clients."""

from alembic import op

from shared.migrations import execute, grant, protect

revision = "intake_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _clinics()
    _people()
    _care()
    _identity()


def _clinics() -> None:
    execute(
        op,
        """
        CREATE TABLE clinic (
            clinic_id uuid NOT NULL,
            name varchar NOT NULL,
            time_zone varchar NOT NULL,
            phone varchar NOT NULL,
            sender_name varchar NOT NULL,
            crisis_line varchar NOT NULL,
            active boolean NOT NULL,
            version integer NOT NULL,
            registered_at timestamptz NOT NULL,
            CONSTRAINT pk_clinic PRIMARY KEY (clinic_id)
        );
        CREATE TABLE platform.clinic_entry (
            clinic_id uuid NOT NULL,
            name varchar NOT NULL,
            active boolean NOT NULL,
            registered_at timestamptz NOT NULL,
            CONSTRAINT pk_clinic_entry PRIMARY KEY (clinic_id)
        );
        """,
    )
    protect(op, "clinic")
    grant(op, "clinic", "SELECT, INSERT, UPDATE")
    grant(op, "platform.clinic_entry", "SELECT, INSERT, UPDATE")


def _people() -> None:
    execute(
        op,
        """
        CREATE TABLE practitioner (
            clinic_id uuid NOT NULL,
            practitioner_id uuid NOT NULL,
            given_name varchar NOT NULL,
            family_name varchar NOT NULL,
            roles varchar[] NOT NULL,
            active boolean NOT NULL,
            version integer NOT NULL,
            registered_at timestamptz NOT NULL,
            CONSTRAINT pk_practitioner PRIMARY KEY (clinic_id, practitioner_id),
            CONSTRAINT fk_practitioner_clinic FOREIGN KEY (clinic_id) REFERENCES clinic (clinic_id)
        );
        CREATE TABLE patient (
            clinic_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            patient_number varchar NOT NULL,
            given_name varchar NOT NULL,
            family_name varchar NOT NULL,
            preferred_name varchar,
            birth_date date NOT NULL,
            email varchar,
            phone varchar,
            language varchar NOT NULL,
            time_zone varchar NOT NULL,
            preferred_channel varchar(32) NOT NULL,
            may_leave_message boolean NOT NULL,
            neutral_text_only boolean NOT NULL,
            emergency_contact jsonb,
            status varchar(32) NOT NULL,
            status_changed_at timestamptz NOT NULL,
            status_changed_by varchar NOT NULL,
            died_on date,
            opted_out boolean NOT NULL,
            version integer NOT NULL,
            registered_at timestamptz NOT NULL,
            CONSTRAINT pk_patient PRIMARY KEY (clinic_id, patient_id),
            CONSTRAINT uq_patient_clinic_id UNIQUE (clinic_id, patient_number),
            CONSTRAINT fk_patient_clinic FOREIGN KEY (clinic_id) REFERENCES clinic (clinic_id),
            CONSTRAINT ck_patient_status CHECK (status IN ('active', 'withdrawn', 'deceased')),
            CONSTRAINT ck_patient_channel CHECK (preferred_channel IN ('email', 'sms', 'phone-staff', 'post', 'in-person', 'paper'))
        );
        CREATE TABLE patient_counter (
            clinic_id uuid NOT NULL,
            last_number integer NOT NULL,
            CONSTRAINT pk_patient_counter PRIMARY KEY (clinic_id),
            CONSTRAINT fk_patient_counter_clinic FOREIGN KEY (clinic_id) REFERENCES clinic (clinic_id)
        );
        CREATE TABLE patient_change (
            clinic_id uuid NOT NULL,
            patient_change_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            change varchar(32) NOT NULL,
            changed_at timestamptz NOT NULL,
            changed_by varchar NOT NULL,
            requested_by varchar(32),
            reason varchar,
            CONSTRAINT pk_patient_change PRIMARY KEY (clinic_id, patient_change_id),
            CONSTRAINT fk_patient_change_patient FOREIGN KEY (clinic_id, patient_id) REFERENCES patient (clinic_id, patient_id)
        );
        """,
    )
    protect(op, "practitioner")
    protect(op, "patient")
    protect(op, "patient_counter")
    protect(op, "patient_change")
    grant(op, "practitioner", "SELECT, INSERT, UPDATE")
    grant(op, "patient", "SELECT, INSERT, UPDATE")
    grant(op, "patient_counter", "SELECT, INSERT, UPDATE")
    grant(op, "patient_change", "SELECT, INSERT")


def _care() -> None:
    execute(
        op,
        """
        CREATE TABLE consent (
            clinic_id uuid NOT NULL,
            consent_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            consent_type varchar(32) NOT NULL,
            consent_version varchar NOT NULL,
            signed_at timestamptz NOT NULL,
            valid_until timestamptz NOT NULL,
            recorded_at timestamptz NOT NULL,
            recorded_by varchar NOT NULL,
            revoked_at timestamptz,
            revoked_by varchar,
            revocation_requested_by varchar(32),
            version integer NOT NULL,
            CONSTRAINT pk_consent PRIMARY KEY (clinic_id, consent_id),
            CONSTRAINT fk_consent_patient FOREIGN KEY (clinic_id, patient_id) REFERENCES patient (clinic_id, patient_id),
            CONSTRAINT ck_consent_type CHECK (consent_type IN ('treatment', 'messaging', 'disclosure')),
            CONSTRAINT ck_consent_validity CHECK (valid_until > signed_at)
        );
        CREATE INDEX ix_consent_patient_id ON consent (clinic_id, patient_id);
        CREATE TABLE course (
            clinic_id uuid NOT NULL,
            course_id uuid NOT NULL,
            patient_id uuid NOT NULL,
            status varchar(32) NOT NULL,
            status_changed_at timestamptz NOT NULL,
            status_changed_by varchar NOT NULL,
            status_reason varchar,
            protocol_code varchar NOT NULL,
            protocol_version integer NOT NULL,
            planned_infusions integer NOT NULL,
            cadence varchar(32) NOT NULL,
            responsible_clinician_id uuid NOT NULL,
            therapist_id uuid,
            coordinator_id uuid,
            version integer NOT NULL,
            started_at timestamptz NOT NULL,
            CONSTRAINT pk_course PRIMARY KEY (clinic_id, course_id),
            CONSTRAINT fk_course_patient FOREIGN KEY (clinic_id, patient_id) REFERENCES patient (clinic_id, patient_id),
            CONSTRAINT fk_course_practitioner_responsible_clinician_id FOREIGN KEY (clinic_id, responsible_clinician_id)
                REFERENCES practitioner (clinic_id, practitioner_id),
            CONSTRAINT fk_course_practitioner_therapist_id FOREIGN KEY (clinic_id, therapist_id)
                REFERENCES practitioner (clinic_id, practitioner_id),
            CONSTRAINT fk_course_practitioner_coordinator_id FOREIGN KEY (clinic_id, coordinator_id)
                REFERENCES practitioner (clinic_id, practitioner_id),
            CONSTRAINT ck_course_status CHECK (status IN ('active', 'on-hold', 'stopped', 'completed'))
        );
        CREATE INDEX ix_course_patient_id ON course (clinic_id, patient_id);
        CREATE UNIQUE INDEX uq_course_open_patient_id ON course (clinic_id, patient_id) WHERE status IN ('active', 'on-hold');
        CREATE TABLE course_change (
            clinic_id uuid NOT NULL,
            course_change_id uuid NOT NULL,
            course_id uuid NOT NULL,
            step varchar(32) NOT NULL,
            changed_at timestamptz NOT NULL,
            changed_by varchar NOT NULL,
            reason varchar,
            CONSTRAINT pk_course_change PRIMARY KEY (clinic_id, course_change_id),
            CONSTRAINT fk_course_change_course FOREIGN KEY (clinic_id, course_id) REFERENCES course (clinic_id, course_id)
        );
        """,
    )
    protect(op, "consent")
    protect(op, "course")
    protect(op, "course_change")
    grant(op, "consent", "SELECT, INSERT, UPDATE")
    grant(op, "course", "SELECT, INSERT, UPDATE")
    grant(op, "course_change", "SELECT, INSERT")


def _identity() -> None:
    execute(
        op,
        """
        CREATE TABLE platform.registered_client (
            client_id varchar NOT NULL,
            kind varchar(32) NOT NULL,
            clinic_id uuid,
            name varchar NOT NULL,
            jwks jsonb NOT NULL,
            scopes varchar[] NOT NULL,
            may_act_for_practitioners boolean NOT NULL,
            active boolean NOT NULL,
            version integer NOT NULL,
            registered_at timestamptz NOT NULL,
            registered_by varchar NOT NULL,
            disabled_at timestamptz,
            disabled_by varchar,
            CONSTRAINT pk_registered_client PRIMARY KEY (client_id),
            CONSTRAINT fk_registered_client_clinic FOREIGN KEY (clinic_id) REFERENCES clinic (clinic_id),
            CONSTRAINT ck_registered_client_kind CHECK ((kind = 'clinic-system') = (clinic_id IS NOT NULL))
        );
        CREATE INDEX ix_registered_client_clinic_id ON platform.registered_client (clinic_id);
        CREATE TABLE platform.used_assertion (
            client_id varchar NOT NULL,
            jti varchar NOT NULL,
            expires_at timestamptz NOT NULL,
            CONSTRAINT pk_used_assertion PRIMARY KEY (client_id, jti)
        );
        CREATE INDEX ix_used_assertion_expires_at ON platform.used_assertion (expires_at);
        """,
    )
    grant(op, "platform.registered_client", "SELECT, INSERT, UPDATE")
    grant(op, "platform.used_assertion", "SELECT, INSERT, DELETE")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
