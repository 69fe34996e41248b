"""The roles and databases that every installation needs."""

import asyncpg

SERVICES = ("intake", "sessions", "followup")


async def provision(admin: "asyncpg.Connection[asyncpg.Record]", service: str, *, password: str, owner_password: str) -> None:
    """Make one service's roles and database, or bring their passwords up to date; safe to run again.

    ``<service>_owner`` owns the schema and migrates; ``<service>`` serves, without BYPASSRLS and only with granted rights.
    """
    for role, secret, options in (
        (f"{service}_owner", owner_password, "LOGIN BYPASSRLS NOSUPERUSER NOCREATEDB NOCREATEROLE"),
        (service, password, "LOGIN NOBYPASSRLS NOSUPERUSER NOCREATEDB NOCREATEROLE"),
    ):
        exists = await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
        await admin.execute(f"{'ALTER' if exists else 'CREATE'} ROLE {role} {options} PASSWORD {quoted(secret)}")
    if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", service):
        await admin.execute(f"CREATE DATABASE {service} OWNER {service}_owner")
    await admin.execute(f"REVOKE ALL ON DATABASE {service} FROM PUBLIC")
    await admin.execute(f"GRANT CONNECT ON DATABASE {service} TO {service}")


def quoted(value: str) -> str:
    """A quoted SQL literal: role statements take no parameters."""
    return "'" + value.replace("'", "''") + "'"
