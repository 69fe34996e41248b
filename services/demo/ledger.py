"""What one clinic's day left in the databases of the services, read from outside."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.postgres import SERVICES

Row = dict[str, Any]  # Any: a column's value as JSON writes it
Ask = Callable[[str, str], Awaitable[str]]
"""Takes a service and a query, gives the one value that it finds in that service's database."""


@dataclass(frozen=True)
class Line:
    """One line of the table; with ``must_be`` it is a promise."""

    what: str
    found: int
    must_be: int | None = None

    @property
    def broken(self) -> bool:
        return self.must_be is not None and self.found != self.must_be


class Ledger:
    """Answers come as JSON however the databases are reached, so ids and times are text in each of them."""

    def __init__(self, ask: Ask, clinic_id: UUID) -> None:
        self._ask = ask
        self._clinic = f"'{clinic_id}'"
        self._before: Counter[str] = Counter()

    async def rows(self, service: str, query: str) -> list[Row]:
        """All rows of a query, in which ``:clinic`` stands for this clinic."""
        ours = query.replace(":clinic", self._clinic)
        found: list[Row] = json.loads(await self._ask(service, f"SELECT coalesce(json_agg(row), '[]') FROM ({ours}) row"))  # noqa: S608 - our own text
        return found

    async def number(self, service: str, query: str) -> int:
        (row,) = await self.rows(service, query)
        (value,) = row.values()
        return int(value)

    async def under_way(self) -> int:
        """Events of all clinics that were told and not delivered yet."""
        return sum([await self.number(service, "SELECT count(*) FROM platform.outbox_pending") for service in SERVICES])

    async def open(self) -> None:
        """From here on events are counted."""
        self._before = await self._moved()

    async def moved(self) -> Counter[str]:
        """Events relayed and handled by each service since ``open``, by ``<service>-relayed`` and ``<service>-handled``."""
        return await self._moved() - self._before

    async def _moved(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for service in SERVICES:
            (row,) = await self.rows(service, _MOVED)
            counts.update({f"{service}-{what}": count for what, count in row.items()})
        return counts


_MOVED = """
SELECT (SELECT count(*) FROM platform.event_log) - (SELECT count(*) FROM platform.outbox_pending) AS relayed,
       (SELECT count(*) FROM platform.inbox) AS handled
"""
