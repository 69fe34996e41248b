"""After a restore: the versions that a producer tells are lifted above all that it had told before, so that what is new is taken as new.

Who reads events keeps of each record the newest version and nothing older. A producer that comes from a backup goes on from the numbers
of the backup, while the others know those that came after it. What was told last of an infusion is lifted with it: told again when the
audit asks, it is then newer than what the others know, and they go back to the backup's word.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import URL, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from services import secrets
from shared import telemetry

STEP = 1_000_000
"""More than the changes that any record sees between two backups, and so little that two thousand restores fit into a column."""

_VERSION = ("version",)
TOLD: Mapping[str, Mapping[str, Sequence[str]]] = {
    "intake": {
        **dict.fromkeys(("clinic", "practitioner", "consent", "consent_standing", "course", "platform.registered_client"), _VERSION),
        "patient": ("version", "contact_version"),
    },
    "sessions": {"infusion": ("version", "told_version", "ended_version")},
}
"""Tables, with their columns, of records whose versions a service counts itself and tells. Copies of what others told keep the numbers
of those.
"""


async def lift_all(host: str, port: int, folder: Path, services: Sequence[str]) -> None:
    """Lift the versions of these services' records, as the owner of each database; ``folder`` holds the secrets."""
    for service in services:
        password = secrets.read(folder, f"{service}-owner-password")
        url = URL.create("postgresql+asyncpg", f"{service}_owner", password, host, port, service)
        count = await lift_versions(service, url.render_as_string(hide_password=False))
        telemetry.logger("restored").info("restored.versions_lifted", service=service, count=count)


async def lift_versions(service: str, owner_url: str) -> int:
    """Lift the versions of one service's records in one transaction; returns how many. Doing it again only leaves a larger gap."""
    engine = create_async_engine(owner_url, poolclass=pool.NullPool)
    try:
        async with engine.begin() as connection:
            lifted = 0
            for table, columns in TOLD[service].items():
                lift = ", ".join(f"{column} = {column} + {STEP}" for column in columns)
                changed = await connection.execute(text(f"UPDATE {table} SET {lift}"))  # noqa: S608 - names of our own
                lifted += changed.rowcount
            return lifted
    finally:
        await engine.dispose()
