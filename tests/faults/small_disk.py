"""A PostgreSQL on a disk of its own that is small enough to be filled: data and log on a RAM disk of a container."""

import asyncio
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import URL

from tests.support.databases import PASSWORD, Databases
from tests.support.waiting import eventually

IMAGE = "postgres:18"
_DISK_MIB = 320
_DATA = "/var/lib/postgresql"
_BALLAST = f"{_DATA}/ballast"
# A server that found no room even to come up again ends; here as everywhere it is started anew, and the disk is still there.
_ALWAYS = "while :; do docker-entrypoint.sh postgres -c min_wal_size=32MB -c max_wal_size=48MB -c checkpoint_timeout=30s; sleep 1; done"


class SmallDiskServer:
    """The container, and what fills its disk. In place of a ``DurableServer``."""

    def __init__(self) -> None:
        self._sockets = Path(tempfile.mkdtemp(prefix="afterglow-small-"))
        self._container: Any = None  # Any: docker-py ships no types
        self.server = self
        self.databases = Databases(self)

    async def start(self) -> None:
        """Start the container and wait until PostgreSQL answers."""
        self._sockets.chmod(0o777)
        self._container = await asyncio.to_thread(self._run)
        await eventually(self._answers, within=120, every=0.5)

    async def remove(self) -> None:
        """Leave nothing of it."""
        if self._container is not None:
            await asyncio.to_thread(partial(self._container.remove, force=True, v=True))
        shutil.rmtree(self._sockets, ignore_errors=True)

    async def admin(self, database: str = "postgres") -> "asyncpg.Connection[asyncpg.Record]":
        """A connection as the superuser."""
        return await asyncpg.connect(host=str(self._sockets), user="postgres", database=database, password=PASSWORD)

    def url(self, role: str, password: str, database: str) -> str:
        """SQLAlchemy URL for a role on a database."""
        query = {"host": str(self._sockets)}
        return URL.create("postgresql+asyncpg", role, password, database=database, query=query).render_as_string(hide_password=False)

    async def fill(self) -> None:
        """Write until nothing more fits."""
        said = await self._inside(f"dd if=/dev/zero of={_BALLAST} bs=64K 2>&1; df -k --output=avail {_DATA} | tail -n 1")
        assert "No space left" in said, said
        assert int(said.split()[-1]) == 0, said

    async def give_space(self) -> None:
        """Take away what ``fill`` has written."""
        await self._inside(f"rm {_BALLAST}")

    async def _inside(self, script: str) -> str:
        ended = await asyncio.to_thread(self._container.exec_run, ["sh", "-c", script])
        return str(ended.output.decode())

    async def _answers(self) -> bool:
        """The image's first start runs a server on the same socket that it ends again; only the real one listens on addresses."""
        try:
            admin = await self.admin()
            listens = await admin.fetchval("SELECT current_setting('listen_addresses') <> ''")
            await admin.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return bool(listens)

    def _run(self) -> Any:  # Any: as above
        import docker  # noqa: PLC0415 - most runs need no container

        return docker.from_env().containers.run(
            IMAGE,
            ["-c", _ALWAYS],
            entrypoint="sh",
            detach=True,
            environment={"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_HOST_AUTH_METHOD": "scram-sha-256"},
            tmpfs={_DATA: f"size={_DISK_MIB}m,mode=755"},
            volumes={str(self._sockets): {"bind": "/var/run/postgresql", "mode": "rw"}},
            mem_limit="1g",
        )
