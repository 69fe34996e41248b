"""The migrated database against the models, and the shipped numbers against their form."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.schema import SchemaItem

from services.intake.policy import INTAKE_POLICY
from services.intake.tables import Table
from shared.documents.checking import checked
from shared.documents.kinds import FIRST_OF_A_CLINIC
from shared.errors import Invalid
from tests.intake.conftest import Intake


async def test_models_and_migrations_agree(intake: Intake) -> None:
    own = {(table.schema, table.name) for table in Table.metadata.tables.values()}

    def ours(item: SchemaItem, name: str | None, kind: str, _reflected: bool, _other: SchemaItem | None) -> bool:
        return kind != "table" or (getattr(item, "schema", None), name) in own

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"include_schemas": True, "include_object": ours, "compare_type": True})
        return list(compare_metadata(context, Table.metadata))

    async with intake.service.database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_every_table_of_a_clinic_forces_row_level_security(intake: Intake) -> None:
    statement = text(
        """
        SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname = 'public' AND relkind = 'r' AND relname NOT LIKE 'alembic_version%' AND NOT (relrowsecurity AND relforcerowsecurity)
        """
    )
    async with intake.service.database.transaction() as db:
        assert (await db.execute(statement)).scalars().all() == []


def test_every_number_of_the_policy_has_its_source() -> None:
    shipped = INTAKE_POLICY.default
    assert shipped.minimum_age.years == 18
    assert {shipped.consent_validity.treatment.months, shipped.consent_validity.messaging.months} == {12}


@pytest.mark.parametrize(
    ("written", "instead", "code"),
    [
        ("  years: 18\n  source: >-", "  years: 18\n  origin: >-", "required"),
        ("  years: 18", "  years: eighteen", "type"),
        ("  minimum: 1\n", "  minimum: 30\n", "out-of-order"),
        ("similar_names_percent: 85", "similar_names_percent: 8", "out-of-range"),
    ],
)
def test_a_policy_with_a_mistake_is_refused_by_line(written: str, instead: str, code: str) -> None:
    text = INTAKE_POLICY.default_text.replace("code: intake-policy\nversion: 1\n", "")
    with pytest.raises(Invalid) as refused:
        checked(INTAKE_POLICY, text.replace(written, instead), FIRST_OF_A_CLINIC)
    assert code in [error.code for error in refused.value.errors]
    assert all(error.detail.startswith("Line ") for error in refused.value.errors)
