"""Real PostgreSQL for tests: one private server per worker, one migrated template per service, a fresh clone for each test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import asyncpg
from sqlalchemy import make_url

from shared.migrations import migrate
from shared.postgres import provision
from shared.private_postgres import PrivatePostgres

PASSWORD = "only-for-tests"


class Server(Protocol):
    """A PostgreSQL as the superuser and as the services reach it."""

    async def admin(self, database: str = "postgres") -> "asyncpg.Connection[asyncpg.Record]": ...
    def url(self, role: str, password: str, database: str) -> str: ...


class Databases:
    """Hands out databases as a service would be given them: migrated, and with the service's own role."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._admin: asyncpg.Connection[asyncpg.Record] | None = None
        self._templates: set[str] = set()

    async def admin(self) -> "asyncpg.Connection[asyncpg.Record]":
        """The superuser's connection, for what no service may do."""
        if self._admin is None or self._admin.is_closed():
            self._admin = await self.server.admin()
        return self._admin

    async def template(self, service: str) -> None:
        """Migrate a service's template once per worker."""
        if service not in self._templates:
            await provision(await self.admin(), service, password=PASSWORD, owner_password=PASSWORD)
            await migrate(service, self.server.url(f"{service}_owner", PASSWORD, service))
            self._templates.add(service)

    async def create(self, name: str, service: str, *, template: str) -> None:
        """A database that belongs to a service."""
        admin = await self.admin()
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {service}_owner")
        await admin.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {service}")

    async def unguarded(self, url: str, service: str) -> str:
        """URL of the same database for the role that owns its tables, which row-level security does not bind."""
        name = make_url(url).database
        assert name is not None
        await (await self.admin()).execute(f"GRANT CONNECT ON DATABASE {name} TO {service}_owner")
        return self.server.url(f"{service}_owner", PASSWORD, name)

    @asynccontextmanager
    async def clone(self, service: str) -> AsyncIterator[str]:
        """URL of a fresh database for this service's role; dropped afterwards."""
        await self.template(service)
        name = f"{service}_{uuid4().hex[:12]}"
        await self.create(name, service, template=service)
        try:
            yield self.server.url(service, PASSWORD, name)
        finally:
            # Asked for again: the test may have restarted the server meanwhile.
            await (await self.admin()).execute(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def private_server(folder: Path) -> AsyncIterator[Databases]:
    """A server that does not survive a power cut, for speed; stopped afterwards."""
    server = PrivatePostgres(folder / "postgres", admin_password=PASSWORD, durable=False)
    await server.start()
    databases = Databases(server)
    try:
        yield databases
    finally:
        await (await databases.admin()).close()
        server.stop()
