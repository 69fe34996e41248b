"""The private PostgreSQL keeps what it is told out of its log."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from shared.private_postgres import PrivatePostgres
from tests.support.databases import PASSWORD
from tests.support.waiting import eventually

TOLD = "chest-pain-told-by-nobody-else"


@pytest_asyncio.fixture(loop_scope="session")
async def server(tmp_path: Path) -> AsyncIterator[PrivatePostgres]:
    """A server of this test alone, on a folder that can be written to as any other."""
    folder = tmp_path / "postgres"
    own = PrivatePostgres(folder, admin_password=PASSWORD, durable=False)
    await own.start()
    yield own
    own.stop()


async def refuse_in_every_way(server: PrivatePostgres) -> None:
    """A row that is there already, a value that is none, a statement that nobody understands, one that takes too long."""
    admin = await server.admin()
    await admin.execute("CREATE TABLE IF NOT EXISTS answer (words text PRIMARY KEY)")
    await admin.execute("INSERT INTO answer VALUES ($1) ON CONFLICT DO NOTHING", TOLD)
    with pytest.raises(asyncpg.UniqueViolationError):
        await admin.execute("INSERT INTO answer VALUES ($1)", TOLD)
    with pytest.raises(asyncpg.DataError):
        await admin.execute(f"SELECT CAST('{TOLD}' AS integer)")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await admin.execute(f"SELEKT '{TOLD}'")
    with pytest.raises(asyncpg.RaiseError):
        await admin.execute(f"DO $$ BEGIN RAISE EXCEPTION '{TOLD}' USING DETAIL = '{TOLD}', HINT = '{TOLD}'; END $$")
    await admin.execute("SET statement_timeout = '50ms'")
    with pytest.raises(asyncpg.QueryCanceledError):
        await admin.execute("SELECT pg_sleep(5), $1::text", TOLD)
    await admin.close()


async def setting(server: PrivatePostgres, name: str) -> str:
    """As a new connection has it."""
    admin = await server.admin()
    value: str = await admin.fetchval("SELECT setting FROM pg_settings WHERE name = $1", name)
    await admin.close()
    return value


def log_of(folder: Path) -> str:
    return (folder / "log").read_text(encoding="utf-8")


async def test_the_log_of_the_private_server_holds_nothing_of_refused_statements(server: PrivatePostgres, tmp_path: Path) -> None:
    await refuse_in_every_way(server)
    written = log_of(tmp_path / "postgres")
    assert "database system is ready to accept connections" in written
    assert TOLD not in written


async def test_the_same_server_left_as_it_comes_would_log_them(server: PrivatePostgres, tmp_path: Path) -> None:
    """What the test above looks for would be there."""
    admin = await server.admin()
    await admin.execute("ALTER SYSTEM SET log_min_messages = warning")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()
    await eventually(partial(setting, server, "log_min_messages"), lambda value: value == "warning")
    await refuse_in_every_way(server)
    assert TOLD in log_of(tmp_path / "postgres")


async def test_a_folder_of_an_older_release_gets_the_settings_at_its_next_start(server: PrivatePostgres, tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    (folder / "afterglow.conf").unlink()
    main = folder / "postgresql.conf"
    main.write_text(main.read_text(encoding="utf-8").replace("include_if_exists 'afterglow.conf'\n", "log_statement = all\n"), "utf-8")
    server.stop()
    again = PrivatePostgres(folder, admin_password=PASSWORD, durable=False)
    await again.start()
    await refuse_in_every_way(again)
    again.stop()
    assert TOLD not in log_of(folder)


async def test_a_server_that_outlived_its_process_gets_them_too(server: PrivatePostgres, tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    admin = await server.admin()
    (folder / "afterglow.conf").write_text("log_statement = all\n", encoding="utf-8")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()
    await eventually(partial(setting, server, "log_statement"), lambda value: value == "all")
    again = PrivatePostgres(folder, admin_password=PASSWORD, durable=False)
    await again.start()
    await eventually(partial(setting, again, "log_statement"), lambda value: value == "none")
