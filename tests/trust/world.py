"""A clinic at work, of which each operation of clinic systems may be asked something."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest_asyncio

from shared.clock import FrozenClock
from tests.conftest import NEW_YORK_MORNING
from tests.support.databases import Databases
from tests.support.house import Clinic, House, house_on
from tests.support.inventory import inventory
from tests.support.operations import Issuer, Op, address_of, body_of, operations
from tests.trust.table import access_table

Row = dict[str, Any]  # Any: column values


@dataclass
class World:
    """The product with a clinic at work, and nobody at it yet whom the trail could show."""

    house: House
    clinic: Clinic
    issuer: Issuer
    ids: dict[str, list[str]]

    def of_clinic_systems(self) -> list[Op]:
        return [op for op in operations(self.house) if op.access.kind == "clinic-system"]

    def of_patients(self) -> list[Op]:
        """Those that show or change something of a patient."""
        return [op for op in self.of_clinic_systems() if op.access.phi != "none" and "audit-events" not in op.path]

    async def ask(self, op: Op, named: str | None, ids: dict[str, list[str]], *, seen: int | None = 1) -> tuple[httpx.Response, list[Row]]:
        """The answer, and the rows of the request in the trail."""
        path = address_of(op, ids)
        path += f"?patient_id={self.ids['patient_id'][0]}" if op.path == "/followup/v1/check-ins" else ""
        token = self.issuer.signed(self.issuer.claims(op, self.clinic.client_id, self.clinic.clinic_id))
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid4()), "X-Request-Id": str(uuid4())}
        headers |= {"If-Match": f'W/"{seen}"'} if seen is not None else {}
        headers |= {"Afterglow-Practitioner": named} if named else {}
        body = None if op.method == "GET" else body_of(self.house, op) or {}
        answer = await self.house.http.request(op.method, path, headers=headers, json=body)
        found = "SELECT * FROM audit_event WHERE request_id = :id"
        return answer, await self.house.rows(op.service, self.clinic.clinic_id, found, id=headers["X-Request-Id"])

    def somebody_for(self, op: Op) -> str | None:
        """Who may; nobody where only people may whom the clinic does not have, and the system may by itself."""
        answers = access_table()[str(op), "own"]
        return next(
            (str(self.clinic.staff[role]) for role in ("prescriber", "coordinator", "medical-director") if answers[role] == "allow"), None
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(databases: Databases) -> AsyncIterator[World]:
    async with house_on(databases, FrozenClock(NEW_YORK_MORNING)) as house:
        clinic = await house.clinic()
        await clinic.hire_one("medical-director", "medical-director")
        await clinic.known()
        yield World(house, clinic, Issuer(house), await inventory(clinic))
