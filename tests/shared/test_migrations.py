"""A release beside a newer one: what the database has more of than the code knows is no reason to wait or to fail."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.migrations import migrate, pending
from tests.support.databases import PASSWORD, Databases


@pytest_asyncio.fixture(loop_scope="session")
async def engine(databases: Databases) -> AsyncIterator[AsyncEngine]:
    async with databases.clone("intake") as url:
        engine = create_async_engine(url)
        yield engine
        await engine.dispose()


async def as_owner(databases: Databases, engine: AsyncEngine, statement: str = "") -> str:
    """Run a statement as the owner of the database; its URL as the owner opens it."""
    database = engine.url.database or ""
    if statement:
        connection: asyncpg.Connection[asyncpg.Record] = await databases.server.admin(database)
        await connection.execute(statement)
        await connection.close()
    return databases.server.url("intake_owner", PASSWORD, database)


async def missing(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return await connection.run_sync(pending, "intake")


async def test_a_migrated_database_lacks_nothing(engine: AsyncEngine) -> None:
    assert await missing(engine) == []


async def test_a_database_before_its_first_migration_lacks_the_newest(databases: Databases, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        newest = (await connection.exec_driver_sql("SELECT version_num FROM alembic_version_intake")).scalars().all()
    await as_owner(databases, engine, "DELETE FROM alembic_version_intake")
    assert await missing(engine) == newest


@pytest.mark.parametrize("table", ["alembic_version_intake", "alembic_version_platform"])
async def test_a_database_that_a_newer_release_has_migrated_lacks_nothing(databases: Databases, engine: AsyncEngine, table: str) -> None:
    await as_owner(databases, engine, f"UPDATE {table} SET version_num = 'of_a_newer_release'")  # noqa: S608 - our own name
    assert await missing(engine) == []


async def test_migrating_with_an_older_release_changes_nothing(databases: Databases, engine: AsyncEngine) -> None:
    url = await as_owner(databases, engine, "UPDATE alembic_version_intake SET version_num = 'of_a_newer_release'")
    await migrate("intake", url)
    async with engine.connect() as connection:
        found = await connection.exec_driver_sql("SELECT version_num FROM alembic_version_intake")
        assert found.scalars().all() == ["of_a_newer_release"]
