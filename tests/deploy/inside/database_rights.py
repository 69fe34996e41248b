"""Run inside a service's container, as that service: where its database role gets in, and what it may do there, as JSON."""

import asyncio
import json
import sys
from pathlib import Path

import asyncpg

DATABASES = ("intake", "sessions", "followup", "postgres", "template1")
FORBIDDEN = {
    "make a table": "CREATE TABLE public.anything (one int)",
    "make a role": "CREATE ROLE anybody",
    "become the owner": "SET ROLE {service}_owner",
    "switch row-level security off": "ALTER TABLE public.audit_event DISABLE ROW LEVEL SECURITY",
    "rewrite the audit trail": "DELETE FROM public.audit_event",
    "read files of the server": "SELECT pg_read_file('/etc/passwd')",
    "run programs on the server": "COPY (SELECT 1) TO PROGRAM 'true'",
}


async def gets_in(user: str, password: str, database: str) -> bool:
    try:
        connection = await asyncpg.connect(host="postgres", user=user, password=password, database=database)
    except asyncpg.PostgresError:
        return False
    await connection.close()
    return True


async def done(service: str, password: str) -> list[str]:
    """Which of the forbidden things were not refused."""
    connection = await asyncpg.connect(host="postgres", user=service, password=password, database=service)
    succeeded = []
    for what, statement in FORBIDDEN.items():
        try:
            await connection.execute(statement.format(service=service))
            succeeded.append(what)
        except asyncpg.InsufficientPrivilegeError:
            pass
    await connection.close()
    return succeeded


async def main(service: str, password: str) -> dict[str, object]:
    return {
        "gets-into": [database for database in DATABASES if await gets_in(service, password, database)],
        "as-owner": await gets_in(f"{service}_owner", password, service),
        "as-admin": await gets_in("postgres", password, "postgres"),
        "without-password": await gets_in(service, "", service),
        "not-refused": await done(service, password),
    }


PASSWORD = Path(f"/run/secrets/{sys.argv[1]}-database-password").read_text().strip()
print(json.dumps(asyncio.run(main(sys.argv[1], PASSWORD))))
