"""A past for the benchmark: any number of finished infusions with all that followed them, written set by set past the product.

The rows are what the product would have written (``past_rows.py``): where a table has a row of the model they are copies of it with other
ids, times and states. Every id is a hash of the seed and a number, so the same seed gives the same rows again. They are inserted as the
service's own role and inside the clinic, so that grants and row-level security hold. Indexes and keys are taken away meanwhile and then
made again from what PostgreSQL says of them, which checks every key and every reference over all rows. The services must not run.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Say = Callable[[str], None]

_CHUNK = 50_000


@dataclass(frozen=True)
class Rows:
    """Rows of one table: a value in SQL for each column, over ``source``.

    With ``model``, a condition that finds a row of the table, the columns that are not named are that row's.
    """

    table: str
    values: Mapping[str, str]
    source: str = "past p"
    where: str = "true"
    model: str = ""


@dataclass(frozen=True)
class Contents:
    """What one service has of a past: values that are worked out once for each infusion, or check-in, and the rows made of them."""

    service: str
    given: Mapping[str, str]
    """Temporary tables by name, each a SELECT; ``$1`` to ``$7`` are those of ``Past``."""
    rows: Sequence[Rows]


@dataclass(frozen=True)
class Past:
    """How much of a past, and whose."""

    clinic_id: UUID
    model: Mapping[str, UUID]
    """The ids of an infusion that the product has completed, and of its patient and course: ``infusion_id`` and so on."""
    owners: Sequence[UUID]
    """Who has the tasks that somebody has."""
    until: datetime
    count: int
    after: int = 0
    """So many are there already: the numbers go on from there."""
    seed: int = 1


async def load(connection: Connection, contents: Contents, past: Past, say: Say) -> None:
    """Write the rows of one service. ``connection`` is a superuser's, since indexes are made; see above for whose the rows are."""
    began = time.monotonic()
    await connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'; SET work_mem = '64MB'")
    tables = sorted({rows.table for rows in contents.rows})
    async with _bare(connection, tables):
        for done in range(0, past.count, _CHUNK):
            await _chunk(connection, contents, past, done, min(_CHUNK, past.count - done))
            seconds = time.monotonic() - began
            say(f"  {contents.service}: {min(done + _CHUNK, past.count):,} of {past.count:,} infusions after {seconds:.0f} s")
    await connection.execute(f"VACUUM (ANALYZE) {', '.join(tables)}")
    say(f"  {contents.service}: with keys, indexes and statistics after {time.monotonic() - began:.0f} s")


async def _chunk(connection: Connection, contents: Contents, past: Past, done: int, count: int) -> None:
    """Some of the infusions, all rows of each, in one transaction."""
    async with connection.transaction():
        for name, select in contents.given.items():
            given = _written_out(select, past, done, count)
            await connection.execute(f"CREATE TEMP TABLE {name} ON COMMIT DROP AS {given}; GRANT SELECT ON {name} TO {contents.service}")
        await connection.execute(f"SET LOCAL ROLE {contents.service}")
        await connection.execute("SELECT set_config('app.clinic_id', $1, true)", str(past.clinic_id))
        for rows in contents.rows:
            await connection.execute(_written_out(await _insert(connection, rows), past, done, count))


async def _insert(connection: Connection, rows: Rows) -> str:
    columns = await connection.fetch(_COLUMNS, rows.table)
    all_of_them = [row["attname"] for row in columns]
    assert set(rows.values) <= set(all_of_them), f"{rows.table} has no {set(rows.values) - set(all_of_them)}"
    names = all_of_them if rows.model else list(rows.values)
    values = [rows.values.get(name, f"m.{name}") for name in names]
    model = f", (SELECT * FROM {rows.table} WHERE {rows.model} LIMIT 1) m" if rows.model else ""  # noqa: S608 - our own text
    return f"INSERT INTO {rows.table} ({', '.join(names)}) SELECT {', '.join(values)} FROM {rows.source}{model} WHERE {rows.where}"  # noqa: S608 - our own text


def _written_out(sql: str, past: Past, done: int, count: int) -> str:
    """The statement with everything in it, since no parameter may stand where tables are made. All of it is our own."""
    named = {
        "clinic": f"'{past.clinic_id}'::uuid",
        "seed": str(past.seed),
        "after": str(past.after),
        "all": str(past.count),
        "from": str(past.after + done + 1),
        "to": str(past.after + done + count),
        "until": f"'{past.until.isoformat()}'::timestamptz",
        "owners": "ARRAY[" + ", ".join(f"'{owner}'" for owner in past.owners) + "]::uuid[]",
        **{f"model_{name}": f"'{id_}'::uuid" for name, id_ in past.model.items()},
    }
    for name, value in named.items():
        sql = sql.replace(f"{{{name}}}", value)
    return sql


@asynccontextmanager
async def _bare(connection: Connection, tables: Sequence[str]) -> AsyncIterator[None]:
    """Tables without indexes and keys, and afterwards with the same as before, as a restored backup has them."""
    keys = await connection.fetch(_KEYS, tables)
    indexes = await connection.fetch(_INDEXES, tables)
    references = [key for key in keys if key["reference"]]
    others = [key for key in keys if not key["reference"]]
    for key in (*references, *others):
        await _drop(connection, f"ALTER TABLE {key['on_table']} DROP CONSTRAINT {key['name']}")
    for index in indexes:
        await _drop(connection, f"DROP INDEX {index['name']}")
    yield
    for key in others:
        await connection.execute(f"ALTER TABLE {key['on_table']} ADD CONSTRAINT {key['name']} {key['definition']}")
    for index in indexes:
        await connection.execute(index["definition"])
    for key in references:
        await connection.execute(f"ALTER TABLE {key['on_table']} ADD CONSTRAINT {key['name']} {key['definition']}")
    for query, before in ((_KEYS, keys), (_INDEXES, indexes)):
        assert [row["name"] for row in await connection.fetch(query, tables)] == [row["name"] for row in before]


async def _drop(connection: Connection, sql: str) -> None:
    """Asked again where it and a reader wait for each other: the loader's own tests run beside a product that looks around."""
    for _ in range(5):
        try:
            await connection.execute(sql)
        except asyncpg.DeadlockDetectedError:
            continue
        return
    raise TimeoutError(f"others hold what is to be dropped: {sql}")


_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
_KEYS = """
    SELECT conname::text AS name, conrelid::regclass::text AS on_table, contype = 'f' AS reference, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint
    WHERE contype IN ('p', 'u', 'f') AND (conrelid = ANY($1::text[]::regclass[]) OR confrelid = ANY($1::text[]::regclass[]))
    ORDER BY 2, 1
"""
_INDEXES = """
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
    WHERE indrelid = ANY($1::text[]::regclass[]) AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
    ORDER BY 1
"""
