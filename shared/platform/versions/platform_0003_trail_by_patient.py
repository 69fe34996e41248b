"""Who saw or tried to see a patient: the patients whom a list showed, found by index, and whom a stored answer is about.

Both indexes hold up writes to the audit trail while they are built; rows of before stay as they are.
"""

from alembic import op

from shared.migrations import execute

revision = "platform_0003"
down_revision = "platform_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        ALTER TABLE public.audit_event ADD COLUMN patient_ids uuid[];
        ALTER TABLE public.idempotency_key ADD COLUMN patient_id uuid;
        CREATE INDEX ix_audit_event_patient ON public.audit_event (clinic_id, patient_id, recorded_at) WHERE patient_id IS NOT NULL;
        CREATE INDEX ix_audit_event_patients ON public.audit_event USING gin (patient_ids) WHERE patient_ids IS NOT NULL;
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
