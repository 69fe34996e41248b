"""Clinical documents of a clinic: its versions, from when each counts, and a stamp that grows with each change of what counts."""

from alembic import op

from shared.migrations import execute, grant, protect

revision = "platform_0006"
down_revision = "platform_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute(
        op,
        """
        CREATE TABLE public.clinic_document (
            clinic_id uuid NOT NULL,
            code varchar NOT NULL,
            version int NOT NULL,
            content text NOT NULL,
            written_by varchar NOT NULL,
            written_at timestamptz NOT NULL,
            signed_by varchar,
            signed_at timestamptz,
            PRIMARY KEY (clinic_id, code, version),
            CONSTRAINT ck_clinic_document_signed_is_whole CHECK ((signed_at IS NULL) = (signed_by IS NULL)),
            CONSTRAINT ck_clinic_document_two_people CHECK (signed_by <> written_by)
        );
        CREATE TABLE public.clinic_document_activation (
            clinic_id uuid NOT NULL,
            code varchar NOT NULL,
            number int NOT NULL,
            version int NOT NULL,
            active_from timestamptz NOT NULL,
            activated_by varchar NOT NULL,
            activated_at timestamptz NOT NULL,
            PRIMARY KEY (clinic_id, code, number),
            CONSTRAINT fk_clinic_document_activation_version FOREIGN KEY (clinic_id, code, version)
                REFERENCES public.clinic_document (clinic_id, code, version),
            CONSTRAINT ck_clinic_document_activation_not_in_the_past CHECK (active_from >= activated_at)
        );
        CREATE TABLE platform.document_stamp (
            clinic_id uuid PRIMARY KEY,
            stamp int NOT NULL
        );
        """,
    )
    for table in ("clinic_document", "clinic_document_activation"):
        protect(op, table)
        grant(op, f"public.{table}", "SELECT, INSERT")
    # A text stays as it was written: only that it was signed can be added.
    grant(op, "public.clinic_document", "UPDATE (signed_by, signed_at)")
    grant(op, "platform.document_stamp", "SELECT, INSERT, UPDATE")


def downgrade() -> None:
    raise NotImplementedError("migrations add first and remove a release later; there is no way back but a restore")
