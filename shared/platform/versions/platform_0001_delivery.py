"""Outbox, inbox, offsets, parked records, timers, known callers, audit and idempotency.

Schema ``platform`` holds ids, codes and wire bytes only and is not under row-level security, since relay, consumer and timers
serve all clinics. The audit trail and the stored answers live in ``public``, where every table is.
"""

from alembic import op

from shared.migrations import execute, grant, protect, role_of

revision = "platform_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        CREATE SCHEMA platform;
        CREATE TABLE platform.stream (
            topic text NOT NULL,
            key text NOT NULL,
            version bigint NOT NULL,
            PRIMARY KEY (topic, key)
        ) WITH (fillfactor = 70);

        CREATE TABLE platform.event_log (
            seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            event_id uuid NOT NULL UNIQUE,
            type text NOT NULL,
            topic text NOT NULL,
            key text NOT NULL,
            key_version bigint NOT NULL,
            partition smallint NOT NULL,
            subject text NOT NULL,
            clinic_id uuid NOT NULL,
            occurred_at timestamptz NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            correlation_id uuid,
            causation_id uuid,
            traceparent text,
            data bytea NOT NULL,
            UNIQUE (topic, key, key_version)
        );
        CREATE INDEX ON platform.event_log USING brin (recorded_at);
        CREATE INDEX ON platform.event_log (subject);

        CREATE TABLE platform.outbox_pending (
            seq bigint PRIMARY KEY,
            partition smallint NOT NULL
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

        CREATE TABLE platform.inbox (
            consumer text NOT NULL,
            event_id uuid NOT NULL,
            processed_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (consumer, event_id)
        );

        CREATE TABLE platform.key_clinic (
            key text PRIMARY KEY,
            clinic_id uuid NOT NULL
        );

        CREATE TABLE platform.consumer_offset (
            consumer text NOT NULL,
            topic text NOT NULL,
            partition int NOT NULL,
            next_offset bigint NOT NULL,
            last_event_id uuid,
            updated_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (consumer, topic, partition)
        ) WITH (fillfactor = 50);

        CREATE TABLE platform.parked (
            parked_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            consumer text NOT NULL,
            topic text NOT NULL,
            partition int NOT NULL,
            "offset" bigint NOT NULL,
            event_id uuid,
            key text,
            blocks_key boolean NOT NULL,
            headers jsonb NOT NULL,
            value bytea,
            reason text NOT NULL,
            error_class text NOT NULL,
            attempts int NOT NULL DEFAULT 1,
            state text NOT NULL DEFAULT 'parked',
            parked_at timestamptz NOT NULL DEFAULT now(),
            settled_at timestamptz,
            settled_by text,
            settled_why text,
            CONSTRAINT uq_parked_record UNIQUE (consumer, topic, partition, "offset"),
            CONSTRAINT ck_parked_state CHECK (state IN ('parked', 'resolved', 'discarded')),
            CONSTRAINT ck_parked_reason CHECK (
                reason IN ('poison', 'undecodable', 'version-unknown', 'tenant-mismatch', 'behind-parked-key', 'unpublishable'))
        );
        CREATE INDEX ON platform.parked (consumer, key) WHERE state = 'parked';

        CREATE TABLE platform.timer (
            timer_key text PRIMARY KEY,
            kind text NOT NULL,
            due_at timestamptz NOT NULL,
            subject_id uuid NOT NULL,
            clinic_id uuid NOT NULL,
            state text NOT NULL DEFAULT 'armed' CHECK (state IN ('armed', 'fired', 'disarmed')),
            attempts smallint NOT NULL DEFAULT 0,
            fired_at timestamptz
        );
        CREATE INDEX ON platform.timer (due_at) WHERE state = 'armed';

        CREATE TABLE platform.client (
            client_id text PRIMARY KEY,
            clinic_id uuid NOT NULL,
            active boolean NOT NULL,
            may_act boolean NOT NULL,
            version int NOT NULL
        );

        CREATE TABLE platform.practitioner (
            clinic_id uuid NOT NULL,
            practitioner_id uuid NOT NULL,
            roles text[] NOT NULL,
            active boolean NOT NULL,
            version int NOT NULL,
            PRIMARY KEY (clinic_id, practitioner_id)
        );

        CREATE TABLE public.audit_event (
            clinic_id uuid NOT NULL,
            audit_event_id uuid NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            client_id text NOT NULL,
            practitioner_id uuid,
            operation text NOT NULL,
            action char(1) NOT NULL,
            phi text NOT NULL,
            patient_id uuid,
            subject text,
            outcome smallint NOT NULL,
            request_id text NOT NULL,
            purpose text,
            PRIMARY KEY (clinic_id, audit_event_id)
        );
        CREATE INDEX ON public.audit_event (clinic_id, recorded_at);

        CREATE TABLE public.idempotency_key (
            clinic_id uuid NOT NULL,
            client_id text NOT NULL,
            key text NOT NULL,
            route text NOT NULL,
            request_hash bytea NOT NULL,
            status int NOT NULL,
            headers jsonb NOT NULL,
            body bytea NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (clinic_id, client_id, key)
        );
        CREATE INDEX ON public.idempotency_key (created_at);
        """,
    )
    protect(op, "audit_event")
    protect(op, "idempotency_key")
    op.execute(f"GRANT USAGE ON SCHEMA platform TO {role_of(op)}")
    grant(op, "platform.stream", "SELECT, INSERT, UPDATE")
    grant(op, "platform.event_log", "SELECT, INSERT")
    grant(op, "platform.outbox_pending", "SELECT, INSERT, DELETE")
    grant(op, "platform.inbox", "SELECT, INSERT, DELETE")
    grant(op, "platform.key_clinic", "SELECT, INSERT")
    grant(op, "platform.consumer_offset", "SELECT, INSERT, UPDATE")
    grant(op, "platform.parked", "SELECT, INSERT, UPDATE")
    grant(op, "platform.timer", "SELECT, INSERT, UPDATE")
    grant(op, "platform.client", "SELECT, INSERT, UPDATE")
    grant(op, "platform.practitioner", "SELECT, INSERT, UPDATE")
    grant(op, "audit_event", "SELECT, INSERT")
    grant(op, "idempotency_key", "SELECT, INSERT, DELETE")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
