"""What an event looks up among a patient's infusions, plans and offers has an index, so that it costs the same however many there are."""

from alembic import op

from shared.migrations import execute

revision = "followup_0009"
down_revision = "followup_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        CREATE INDEX ix_infusion_counts ON infusion (clinic_id, patient_id, started_at)
            WHERE started_at IS NOT NULL AND drug_given IS NOT FALSE AND state <> 'entered-in-error';
        CREATE INDEX ix_infusion_given ON infusion (clinic_id, patient_id, pump_ended_at, infusion_id)
            WHERE drug_given AND pump_ended_at IS NOT NULL AND state <> 'entered-in-error';
        CREATE INDEX ix_plan_active ON plan (clinic_id, patient_id, pump_ended_at) WHERE status = 'active';
        CREATE INDEX ix_care_task_safety_offer ON care_task (clinic_id, patient_id)
            WHERE kind = 'safety-offer-call' AND status IN ('requested', 'accepted', 'on-hold');
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
