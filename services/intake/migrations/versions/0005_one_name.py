"""A person with one name: a given name, a family name or both."""

from alembic import op

from shared.migrations import execute

revision = "intake_0005"
down_revision = "intake_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("patient", "practitioner"):
        execute(
            op,
            f"""
            ALTER TABLE {table} ALTER COLUMN given_name DROP NOT NULL;
            ALTER TABLE {table} ALTER COLUMN family_name DROP NOT NULL;
            ALTER TABLE {table} ADD CONSTRAINT ck_{table}_name CHECK (given_name IS NOT NULL OR family_name IS NOT NULL);
            """,
        )


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
