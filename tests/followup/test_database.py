"""The database under the service: schema as declared, every table walled by clinic, history that nobody can rewrite."""

from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.followup.tables import Table
from tests.followup.clinic import Clinic


async def test_the_models_say_what_the_migrations_made(clinic: Clinic) -> None:
    def _ours(_thing: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
        return kind != "table" or name in Table.metadata.tables

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": _ours})
        return list(compare_metadata(context, Table.metadata))

    async with clinic.database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_every_table_is_walled_by_clinic(clinic: Clinic) -> None:
    walls = await clinic.rows(
        """SELECT relname AS name, relrowsecurity AND relforcerowsecurity AS walled FROM pg_class
           WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE 'alembic%'"""
    )
    assert set(Table.metadata.tables) <= {row["name"] for row in walls}
    assert all(row["walled"] for row in walls)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE task_history SET actor = 'nobody'",
        "DELETE FROM task_history",
        "DELETE FROM care_task",
        "DELETE FROM plan",
        "DELETE FROM infusion",
    ],
)
async def test_what_happened_cannot_be_rewritten_or_removed(clinic: Clinic, statement: str) -> None:
    await clinic.task()
    with pytest.raises(DBAPIError, match="permission denied"):
        await clinic.rows(statement)


async def test_a_task_cannot_stand_on_another_clinics_patient(clinic: Clinic, open_clinic: object) -> None:
    assert callable(open_clinic)
    other: Clinic = await open_clinic()
    task = await other.task()
    await clinic.task()
    with pytest.raises(IntegrityError, match="fk_care_task_patient"):
        async with clinic.database.transaction(clinic.clinic_id) as db:
            await db.execute(text("UPDATE care_task SET patient_id = :id"), {"id": task["patient_id"]})


@pytest.mark.parametrize(
    "change",
    [
        "owner_id = gen_random_uuid()",
        "status = 'on-hold'",
        "status = 'completed'",
        "status = 'cancelled'",
        "outcome = 'done'",
        "status = 'forgotten'",
    ],
)
async def test_the_database_refuses_a_task_that_cannot_be(clinic: Clinic, change: str) -> None:
    await clinic.task()
    with pytest.raises(IntegrityError, match="ck_care_task"):
        async with clinic.database.transaction(clinic.clinic_id) as db:
            await db.execute(text(f"UPDATE care_task SET {change}"))  # noqa: S608 - a condition of our own


async def test_outside_of_a_clinic_nothing_is_seen(clinic: Clinic) -> None:
    await clinic.task()
    async with clinic.database.transaction(uuid4()) as db:
        assert (await db.execute(text("SELECT count(*) FROM care_task"))).scalar_one() == 0
