"""What each consumer has seen: what an event said, the newest number of each key, and how much of one key came in a minute.

The release before this one writes rows without ``content`` and does not move ``noted_offset``: so it is known where it was at work, and
nothing is taken for missing that it has handled. ``hops`` counts an event's causes.
"""

from alembic import op

from shared.migrations import execute, grant

revision = "platform_0005"
down_revision = "platform_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE platform.event_log ADD COLUMN hops smallint NOT NULL DEFAULT 0;
        ALTER TABLE platform.inbox ADD COLUMN content bytea;
        CREATE INDEX ix_inbox_without_content ON platform.inbox (consumer, processed_at) WHERE content IS NULL;
        ALTER TABLE platform.consumer_offset ADD COLUMN noted_offset bigint, ADD COLUMN unbroken_since timestamptz;
        CREATE TABLE platform.key_seen (
            consumer text NOT NULL,
            topic text NOT NULL,
            key text NOT NULL,
            sequence bigint NOT NULL,
            noted_at timestamptz NOT NULL DEFAULT now(),
            minute_began_at timestamptz NOT NULL DEFAULT now(),
            in_minute int NOT NULL,
            PRIMARY KEY (consumer, key, topic)
        ) WITH (fillfactor = 70);
        ALTER TABLE platform.parked ADD COLUMN sequence bigint;
        CREATE INDEX ix_parked_heads ON platform.parked (consumer, key, parked_id)
            WHERE state = 'parked' AND blocks_key AND reason <> 'sequence-gap';
        CREATE INDEX ix_parked_gaps ON platform.parked (consumer, key, topic, sequence)
            WHERE state = 'parked' AND reason = 'sequence-gap';
        ALTER TABLE platform.parked DROP CONSTRAINT ck_parked_reason;
        ALTER TABLE platform.parked ADD CONSTRAINT ck_parked_reason CHECK (
            reason IN ('poison', 'undecodable', 'version-unknown', 'tenant-mismatch', 'behind-parked-key', 'unpublishable',
                       'other-content', 'sequence-gap', 'time-off', 'too-many-hops', 'flood'));
        """,
    )
    grant(op, "platform.key_seen", "SELECT, INSERT, UPDATE")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
