"""How many rows a service's statements look at, whether they are of use or not: what grows with a table shows there before it is slow."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import event

from shared.db import Database

Statement = tuple[str, tuple[object, ...]]


@contextmanager
def noted(database: Database) -> Iterator[list[Statement]]:
    """What is read from a database in this block."""
    statements: list[Statement] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def most_rows(superuser: "asyncpg.Connection[asyncpg.Record]", service: str, clinic_id: UUID, statements: list[Statement]) -> int:
    """Run them again as the service and inside the clinic; returns what the hungriest of them has come across."""
    most = 0
    for statement, parameters in statements:
        async with superuser.transaction():
            await superuser.execute(f"SET LOCAL ROLE {service}")
            await superuser.execute("SELECT set_config('app.clinic_id', $1, true)", str(clinic_id))
            plan = await superuser.fetchval(f"EXPLAIN (ANALYZE, TIMING off, FORMAT json) {statement}", *parameters)
        most = max(most, sum(_rows(json.loads(plan)[0]["Plan"])))
    return most


def _rows(node: Mapping[str, Any]) -> Iterator[int]:  # Any: JSON
    if "Scan" in node["Node Type"]:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        yield int((node["Actual Rows"] + removed) * node["Actual Loops"])
    for child in node.get("Plans", []):
        yield from _rows(child)
