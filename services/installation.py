"""The databases of an installation whose services run by themselves; the embedded mode sees to its own."""

from pathlib import Path

import asyncpg
from sqlalchemy import URL

from services import secrets
from shared import telemetry
from shared.migrations import migrate
from shared.postgres import SERVICES, provision
from shared.settings import UnsafeSettings

ADMIN_PASSWORD = "postgres-admin-password"  # noqa: S105 - the name of a file


async def migrate_all(host: str, port: int, folder: Path) -> None:
    """Bring roles, passwords, databases and schemas of all services up to date, as the server's admin and then as each owner.

    ``folder`` holds the secrets. Safe to run again, and while services of the last release run: a migration only adds.
    Raises UnsafeSettings where the server's data was made with other secrets.
    """
    log = telemetry.logger("migrate")
    admin = await _admin(host, port, secrets.read(folder, ADMIN_PASSWORD))
    try:
        await admin.execute("SELECT pg_advisory_lock(hashtext('afterglow installation'))")
        # What comes with the server is open to every role otherwise; a service has its own database and no other.
        await admin.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
        for service in SERVICES:
            owner_password = secrets.read(folder, f"{service}-owner-password")
            await provision(admin, service, password=secrets.read(folder, f"{service}-database-password"), owner_password=owner_password)
            owner = URL.create("postgresql+asyncpg", f"{service}_owner", owner_password, host, port, service)
            await migrate(service, owner.render_as_string(hide_password=False))
            log.info("migrate.done", service=service)
    finally:
        await admin.close()


async def _admin(host: str, port: int, password: str) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        return await asyncpg.connect(host=host, port=port, user="postgres", database="postgres", password=password)
    except asyncpg.InvalidPasswordError:
        why = (
            "the data of PostgreSQL was made with another; bring back the folder of secrets that belongs to it (deploy/README.md, Secrets)"
        )
        raise UnsafeSettings(ADMIN_PASSWORD, why) from None
