"""All infusions of a patient are found by an index of their own, without an order.

With the end of the infusion in it, the planner took it now and then in place of the index of those that count, and read one by one all that
do not: those of an import that were entered in error.
"""

from alembic import op

from shared.migrations import execute

revision = "followup_0017"
down_revision = "followup_0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        DROP INDEX ix_infusion_patient;
        CREATE INDEX ix_infusion_patient ON infusion (clinic_id, patient_id);
        """,
    )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
