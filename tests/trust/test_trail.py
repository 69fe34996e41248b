"""Whoever asks the trail who saw or tried to see a patient finds every operation of the three services that did."""

import re
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
from tests.support.operations import Issuer, Op, body_of, operations
from tests.trust.table import access_table

_PLACE = re.compile(r"\{(\w+)\}")
Row = dict[str, Any]  # Any: column values


@dataclass
class World:
    """The product with a clinic at work, and nobody at it yet whom the trail could show."""

    house: House
    clinic: Clinic
    issuer: Issuer
    ids: dict[str, list[str]]

    def of_patients(self) -> list[Op]:
        found = [op for op in operations(self.house) if op.access.kind == "clinic-system" and op.access.phi != "none"]
        return [op for op in found if "audit-events" not in op.path]

    async def ask(self, op: Op, named: str | None, ids: dict[str, list[str]]) -> tuple[httpx.Response, list[Row]]:
        """The answer, and the rows of the request in the trail."""
        path = _PLACE.sub(lambda place: ids.get(place[1], [str(uuid4())])[0], op.path)
        path += f"?patient_id={self.ids['patient_id'][0]}" if op.path == "/followup/v1/check-ins" else ""
        token = self.issuer.signed(self.issuer.claims(op, self.clinic.client_id, self.clinic.clinic_id))
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid4()), "If-Match": 'W/"1"', "X-Request-Id": str(uuid4())}
        headers |= {"Afterglow-Practitioner": named} if named else {}
        body = None if op.method == "GET" else body_of(self.house, op) or {}
        answer = await self.house.http.request(op.method, path, headers=headers, json=body)
        found = "SELECT * FROM audit_event WHERE request_id = :id"
        return answer, await self.house.rows(op.service, self.clinic.clinic_id, found, id=headers["X-Request-Id"])

    def somebody_for(self, op: Op) -> str:
        """Who may."""
        answers = access_table()[str(op), "own"]
        return str(next(self.clinic.staff[role] for role in ("prescriber", "coordinator") if answers[role] == "allow"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(databases: Databases) -> AsyncIterator[World]:
    async with house_on(databases, FrozenClock(NEW_YORK_MORNING)) as house:
        clinic = await house.clinic()
        yield World(house, clinic, Issuer(house), await inventory(clinic))


async def test_every_read_leaves_one_row_that_names_who_was_shown(world: World) -> None:
    silent = []
    for op in world.of_patients():
        if op.method != "GET" or op.path in _NOBODY_SHOWN:
            continue
        answer, rows = await world.ask(op, world.somebody_for(op), world.ids)
        assert answer.status_code == 200, (str(op), answer.text)
        if len(rows) != 1 or not (rows[0]["patient_id"] or rows[0]["patient_ids"]):
            silent.append((str(op), len(rows)))
    assert silent == []


async def test_every_refusal_leaves_one_row_that_names_whose_record_it_was(world: World) -> None:
    silent, stranger = [], str(uuid4())
    for op in world.of_patients():
        answer, rows = await world.ask(op, stranger, world.ids)
        assert answer.status_code == 403
        about = [bool(row["patient_id"]) or "{" not in op.path for row in rows]
        if [str(row["practitioner_id"]) for row in rows] != [stranger] or about != [True]:
            silent.append((str(op), rows))
    assert silent == []


async def test_every_record_that_is_not_there_leaves_one_row_with_its_id(world: World) -> None:
    silent = []
    for op in world.of_patients():
        (name,) = _PLACE.findall(op.path)[:1] or [""]
        if not name:
            continue
        asked = str(uuid4())
        answer, rows = await world.ask(op, world.somebody_for(op), {name: [asked]})
        if answer.status_code == 404 and [(row["outcome"], asked in str(row["subject"])) for row in rows] != [(404, True)]:
            silent.append((str(op), rows))
        assert answer.status_code in {404, 422, 428}, (str(op), answer.text)
    assert silent == []


async def test_an_auditor_reads_a_patients_trail_in_each_service(world: World) -> None:
    clinic, patient_id = world.clinic, world.ids["patient_id"][0]
    auditor, stranger = await clinic.hire_one("auditor", "auditor"), uuid4()
    await clinic.known()
    asked = {
        "intake": ("list_patients", "/intake/v1/patients"),
        "sessions": ("list_infusions", "/sessions/v1/infusions"),
        "followup": ("list_tasks", "/followup/v1/tasks"),
    }
    for service, (operation, path) in asked.items():
        await clinic.system.get(path, acting=clinic.staff["prescriber"])
        named = {"Authorization": f"Bearer {await clinic.system.access_token()}", "Afterglow-Practitioner": str(stranger)}
        assert (await world.house.http.get(f"{path}?patient_id={patient_id}", headers=named)).status_code in {403, 422}
        trail = await clinic.system.get(f"/{service}/v1/audit-events", acting=auditor, patient_id=patient_id)
        seen = [(one["operation"], one["practitioner_id"]) for one in trail["items"] if one["outcome"] == 200]
        assert (operation, str(clinic.staff["prescriber"])) in seen
        moments = [one["recorded_at"] for one in trail["items"]]
        assert moments == sorted(moments, reverse=True)
        other = await clinic.system.get(f"/{service}/v1/audit-events", acting=auditor, patient_id=str(uuid4()))
        assert other["items"] == []


_NOBODY_SHOWN = {"/followup/v1/tasks/counts", "/followup/v1/completeness"}
"""Counts without a patient to filter by, and a list that is empty where nothing is missing."""
