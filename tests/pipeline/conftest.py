"""The running product with an operator, and ways to spoil what its consumers are given."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest_asyncio
from sqlalchemy import make_url, text

from services.demo.client import ClinicSystem
from shared.bus import Headers, Record, cloud_event_headers
from shared.clock import FrozenClock
from tests.conftest import NEW_YORK_MORNING
from tests.support.commands import Ran, afterglow
from tests.support.databases import Databases
from tests.support.house import Clinic, House, house_on

Json = dict[str, Any]  # Any: a decoded JSON document

MARKER = "Zebulon Quackenbush"
"""Stands for what an operator must never see; planted wherever a record can hold something."""


@dataclass
class Installation:
    """The product as its operator has it before them."""

    house: House
    operator: ClinicSystem
    databases: Databases

    async def run(self, *arguments: str, url: str | None = None, secrets: str | None = None) -> Ran:
        """``afterglow pipeline ...``, beside the running product."""
        where = ["pipeline", "--url", url or self.house.origin, "--secrets", secrets or str(self.house.folder / "secrets")]
        return await afterglow(*where, *arguments)

    async def give(self, *records: Record) -> None:
        """Give records to followup's consumer as its bus would."""
        inbox = self.house.services["followup"].inbox
        assert inbox is not None
        await inbox.handle(records)

    async def parked(self) -> list[Json]:
        """followup's parked records with everything in them, as only the database shows them."""
        async with self.house.services["followup"].database.transaction() as db:
            rows = await db.execute(text("SELECT * FROM platform.parked ORDER BY parked_id"))
            return [dict(row) for row in rows.mappings()]

    async def audit(self) -> list[Json]:
        """followup's audit rows outside of any clinic."""
        return await self.house.rows("followup", str(UUID(int=0)), "SELECT * FROM public.audit_event ORDER BY recorded_at")

    async def admin(self, service: str) -> "asyncpg.Connection[asyncpg.Record]":
        """The superuser's connection to a service's database."""
        return await self.databases.server.admin(str(make_url(self.house.services[service].database.url).database))

    async def lose_clients(self) -> None:
        """As if followup's database came from a backup: it has forgotten the clients that it heard of, and that it heard of anything."""
        admin = await self.admin("followup")
        await admin.execute("DELETE FROM platform.client; DELETE FROM platform.inbox")
        await admin.close()

    async def clients(self) -> set[str]:
        """The clients that followup knows."""
        async with self.house.services["followup"].database.transaction() as db:
            return set(await db.scalars(text("SELECT client_id FROM platform.client")))

    @asynccontextmanager
    async def broken(self, service: str = "followup", table: str = "plan") -> AsyncIterator[None]:
        """A defect: the service may not write this table. It fails for as long as the block runs."""
        admin = await self.admin(service)
        try:
            await admin.execute(f"REVOKE INSERT ON public.{table} FROM {service}")
            yield
        finally:
            await admin.execute(f"GRANT INSERT ON public.{table} TO {service}")
            await admin.close()


@pytest_asyncio.fixture(loop_scope="session")
async def house(databases: Databases) -> AsyncIterator[House]:
    async with house_on(databases, FrozenClock(NEW_YORK_MORNING)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def installation(house: House, databases: Databases) -> AsyncIterator[Installation]:
    operator = house.operator()
    yield Installation(house, operator, databases)
    await operator.close()


@pytest_asyncio.fixture(loop_scope="session")
async def clinic(house: House) -> Clinic:
    return await house.clinic()


def spoiled(key: str | None, offset: int, *, change: Callable[[dict[str, bytes]], object] | None = None) -> Record:
    """A record of an ended infusion that cannot be read, with the marker in its value, for a key of any kind."""
    headers = dict(_headers(key or ""))
    if change is not None:
        change(headers)
    value = json.dumps({"name": MARKER}).encode()
    return Record("sessions.events", 0, offset, key.encode() if key is not None else None, value, tuple(headers.items()))


def _headers(key: str) -> Headers:
    return cloud_event_headers(
        event_id=uuid4(),
        type_name="sessions.infusion.completed.v1",
        source="/sessions",
        subject=f"Infusion/{uuid4()}",
        occurred_at=NEW_YORK_MORNING,
        key=key,
        sequence=1,
        clinic_id=uuid4(),
        correlation_id=None,
        causation_id=None,
        traceparent=None,
    )
