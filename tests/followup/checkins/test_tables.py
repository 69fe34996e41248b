"""Check-ins, links and messages in the database: as the models say, and as little as the service needs."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import SchemaItem

from services.followup.tables import Table
from tests.followup.checkins.world import World

OWN = {"check_in", "check_in_answers", "check_in_partial", "check_in_worry", "patient_link", "message"}


async def test_models_and_migrations_agree(world: World) -> None:
    def ours(_item: SchemaItem, name: str | None, kind: str, _reflected: bool, _other: SchemaItem | None) -> bool:
        return kind != "table" or name in OWN

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
        return list(compare_metadata(context, Table.metadata))

    async with world.database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE check_in_answers SET answers = '{}'",
        "UPDATE check_in_worry SET level = 'routine'",
        "UPDATE check_in_partial SET help_now = false",
        "DELETE FROM check_in_answers",
        "DELETE FROM check_in_worry",
        "DELETE FROM check_in",
        "DELETE FROM message",
        "DELETE FROM patient_link",
        "UPDATE platform.check_in_link SET check_in_id = clinic_id",
        "DELETE FROM platform.check_in_link",
    ],
)
async def test_the_service_can_neither_change_answers_nor_lower_worries_nor_remove_anything(world: World, statement: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        await world.write(statement)


@pytest.mark.parametrize("table", sorted(OWN))
async def test_every_table_is_behind_forced_row_level_security(world: World, table: str) -> None:
    (row,) = await world.read("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = :table", table=table)
    assert tuple(row) == (True, True)
