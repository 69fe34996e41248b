"""The migrated database against the models, and the shipped numbers against their form."""

from pathlib import Path

import pytest
import yaml
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import ValidationError
from sqlalchemy import Connection, text
from sqlalchemy.schema import SchemaItem

from services.intake import policy
from services.intake.tables import Table
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
    shipped = policy.load()
    assert shipped.minimum_age.years == 18
    assert {shipped.consent_validity.treatment.months, shipped.consent_validity.messaging.months} == {12}


def test_a_number_without_a_source_is_not_loaded(tmp_path: Path) -> None:
    document = yaml.safe_load(policy.SHIPPED.read_text())
    del document["minimum_age"]["source"]
    changed = tmp_path / "policy.yaml"
    changed.write_text(yaml.safe_dump(document))
    with pytest.raises(ValidationError, match=r"minimum_age\.source"):
        policy.load(changed)
