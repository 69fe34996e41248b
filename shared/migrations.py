"""Migrations: the plumbing's history first, then the service's own, as a role that no service can log in with.

With forced row-level security even a table's owner cannot add a foreign key (the check would hit the policy), so the owner role
has BYPASSRLS; the service's role has neither that nor any grant that a migration did not name.
"""

import re
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

import shared.platform

_PLATFORM = Path(shared.platform.__file__).parent


async def migrate(service: str, owner_url: str) -> None:
    """Bring one service's database to the newest schema. ``owner_url`` logs in as ``<service>_owner``; safe to run again."""
    engine = create_async_engine(owner_url, poolclass=pool.NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('afterglow migrations'))"))
            await connection.execute(text("SET LOCAL lock_timeout = '60s'"))
            await connection.run_sync(_upgrade, service)
    finally:
        await engine.dispose()


def pending(connection: Connection, service: str) -> list[str]:
    """Names of revisions that the database does not have yet; empty when it is up to date, or ahead of this release."""
    missing = []
    for versions, table in _histories(service):
        script, have = _script(service, versions, table, connection), _have(connection, table)
        if not _is_ahead(script, have):
            missing += [head for head in script.get_heads() if head not in have]
    return missing


def execute(op: Operations | Any, script: str) -> None:  # Any: alembic's op module is a proxy without a type
    """Run several statements, each ended by ``;`` at the end of a line (the driver takes one at a time)."""
    for statement in re.split(r";[ \t]*$", script, flags=re.MULTILINE):
        if statement.strip():
            op.execute(statement)


def protect(op: Operations | Any, table: str) -> None:  # Any: as above
    """Force row-level security on a table of schema public: rows of the transaction's clinic only, for reading and writing."""
    op.execute(f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE public.{table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY inside_clinic ON public.{table} "
        "USING (clinic_id = (SELECT current_setting('app.clinic_id')::uuid)) "
        "WITH CHECK (clinic_id = (SELECT current_setting('app.clinic_id')::uuid))"
    )


def grant(op: Operations | Any, table: str, rights: str) -> None:  # Any: as above
    """Give the service's role these rights on a table and no others."""
    op.execute(f"GRANT {rights} ON {table} TO {role_of(op)}")


def role_of(op: Any) -> str:  # Any: as above
    """The role that the service logs in with: the service's name."""
    config = op.get_context().config
    return str(config.attributes["service"])


def _upgrade(connection: Connection, service: str) -> None:
    for versions, table in _histories(service):
        if _is_ahead(_script(service, versions, table, connection), _have(connection, table)):
            continue
        command.upgrade(_config(service, versions, table, connection), "head")
        # The service looks at its start whether anything is missing.
        connection.execute(text(f"GRANT SELECT ON {table} TO {service}"))


def _have(connection: Connection, table: str) -> set[str]:
    """The revision at which a history stands in the database; none before its first migration."""
    exists = connection.execute(text("SELECT to_regclass(:name)"), {"name": f"public.{table}"}).scalar()
    return set(connection.execute(text(f"SELECT version_num FROM {table}")).scalars()) if exists else set()  # noqa: S608 - our own name


def _is_ahead(script: ScriptDirectory, have: set[str]) -> bool:
    """Whether a newer release has migrated: its revision is not known here. Histories are straight lines, so it stands on all of ours.

    That is how it is while replicas of both releases serve, and after going back to the older one.
    """
    return bool(have - {revision.revision for revision in script.walk_revisions()})


def _script(service: str, versions: Path, table: str, connection: Connection) -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(service, versions, table, connection))


def _histories(service: str) -> list[tuple[Path, str]]:
    root = _PLATFORM.parents[1]
    return [
        (_PLATFORM / "versions", "alembic_version_platform"),
        (root / "services" / service / "migrations" / "versions", f"alembic_version_{service}"),
    ]


def _config(service: str, versions: Path, table: str, connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_PLATFORM))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "newline")
    config.attributes.update(service=service, connection=connection, version_table=table)
    return config
