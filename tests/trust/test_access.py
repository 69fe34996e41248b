"""Every operation of clinic systems, called for everybody: each gets what the table says, and a refusal names who was refused."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio

from shared.clock import FrozenClock
from shared.events.intake import Role
from tests.conftest import NEW_YORK_MORNING
from tests.support.databases import Databases
from tests.support.house import Clinic, House, house_on
from tests.support.inventory import inventory
from tests.support.operations import PLACE, Issuer, Op, address_of, body_of, code_of, operations
from tests.support.waiting import eventually
from tests.trust.table import DEACTIVATED, ELSEWHERE, NOBODY, UNKNOWN, access_table

TABLE = access_table()


@dataclass
class World:
    """The product with two clinics, and everybody whom the first one's system may name."""

    house: House
    ours: Clinic
    issuer: Issuer
    named: Mapping[str, str]
    records: Mapping[str, Mapping[str, list[str]]]
    """Ids by clinic (``own``, ``other``) and by the name that addresses give them."""

    async def ask(self, op: Op, clinic: str, name: str, request_id: str) -> httpx.Response:
        """A read asks for what there is; a change of one's own clinic for what there is not, so that nothing is changed."""
        exists = op.method == "GET" or clinic == "other"
        records = self.records[clinic] if exists else {}
        path = address_of(op, records)
        query = f"?patient_id={self.records['own']['patient_id'][0]}" if op.path == "/followup/v1/check-ins" else ""
        token = self.issuer.signed(self.issuer.claims(op, self.ours.client_id, self.ours.clinic_id))
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid4()), "If-Match": 'W/"1"', "X-Request-Id": request_id}
        headers |= {"Afterglow-Practitioner": self.named[name]} if name != NOBODY else {}
        body = None if op.method == "GET" else body_of(self.house, op) or {}
        return await self.house.http.request(op.method, path + query, headers=headers, json=body)

    async def refused(self, service: str, request_id: str) -> list[tuple[str, int]]:
        """Who was named in the audit rows of a request, with the outcome."""
        found = "SELECT practitioner_id, outcome FROM audit_event WHERE request_id = :id"
        rows = await self.house.rows(service, self.ours.clinic_id, found, id=request_id)
        return [(str(row["practitioner_id"]), row["outcome"]) for row in rows]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(databases: Databases) -> AsyncIterator[World]:
    async with house_on(databases, FrozenClock(NEW_YORK_MORNING)) as house:
        ours, other = await house.clinic(), await house.clinic()
        named = {role.value: str(await ours.hire_one(f"only-{role}", role)) for role in Role}
        named |= {DEACTIVATED: await dismissed(ours), ELSEWHERE: str(await other.hire_one("everybody", *Role)), UNKNOWN: str(uuid4())}
        await other.known()
        records = {"own": await inventory(ours), "other": await inventory(other, documents=True)}
        yield World(house, ours, Issuer(house), named, records)


async def dismissed(clinic: Clinic) -> str:
    """Somebody who had every role, and is known everywhere to have left."""
    gone = await clinic.hire_one("gone", *Role)
    await clinic.known()
    await clinic.system.patch(f"/intake/v1/practitioners/{gone}", {"active": False}, 1)
    for service in clinic.house.services:
        await eventually(partial(_is_gone, clinic, service, gone))
    return str(gone)


async def _is_gone(clinic: Clinic, service: str, practitioner_id: UUID) -> bool:
    known = "SELECT active FROM platform.practitioner WHERE practitioner_id = :id"
    return [row["active"] for row in await clinic.house.rows(service, clinic.clinic_id, known, id=practitioner_id)] == [False]


@pytest.mark.parametrize("clinic", ["own", "other"])
async def test_everybody_gets_what_the_table_says(world: World, clinic: str) -> None:
    wrong = []
    for op in clinic_operations(world, clinic):
        for name, expected in TABLE[str(op), clinic].items():
            answer = await world.ask(op, clinic, name, str(uuid4()))
            if answered(op, clinic, answer) != expected:
                wrong.append((str(op), name, expected, answer.status_code, answer.text[:200]))
    assert wrong == []


async def test_a_refusal_is_recorded_with_the_person_who_was_named(world: World) -> None:
    unrecorded = []
    for op in clinic_operations(world, "own"):
        for name in (DEACTIVATED, ELSEWHERE, UNKNOWN):
            request_id = str(uuid4())
            await world.ask(op, "own", name, request_id)
            if (recorded := await world.refused(op.service, request_id)) != [(world.named[name], 403)]:
                unrecorded.append((str(op), name, recorded))
    assert unrecorded == []


def clinic_operations(world: World, clinic: str) -> list[Op]:
    """Those of which the table speaks; one that it does not know fails here, and in the contract of the table."""
    found = [op for op in operations(world.house) if op.access.kind == "clinic-system"]
    return [op for op in found if clinic == "own" or PLACE.search(op.path)]


def answered(op: Op, clinic: str, answer: httpx.Response) -> str:
    """The word of the table for an answer."""
    code = "" if answer.is_success else code_of(answer)
    if clinic == "other":
        return code if answer.status_code in {401, 403, 404} else f"opened: {answer.status_code} {code}"
    if op.method == "GET":
        return "allow" if answer.is_success else code
    return code if answer.status_code in {401, 403} or answer.is_server_error else "allow"
