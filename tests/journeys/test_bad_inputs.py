"""Bad input gets the answer that was promised for it, over HTTP, and leaves no trace in any table."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from shared.clock import FrozenClock
from tests.conftest import NEW_YORK_MORNING
from tests.journeys.bad_inputs import CASES, ELSEWHERE, LATER, ROWS, Case, Json, person
from tests.support.databases import Databases
from tests.support.house import Clinic, House, Patient, house_on

ROOT = Path(__file__).parents[2]
CALM = {"systolic_mmhg": 122, "diastolic_mmhg": 78, "heart_rate_per_min": 70, "spo2_percent": 98}
_NAME = re.compile(r"\{(\w+)\}")


@dataclass
class Stage:
    """The product with everything that the cases speak of, by name."""

    clinic: Clinic
    names: dict[str, str]
    token: str
    counting: dict[str, str]
    """For each service a statement that counts its rows."""

    async def send(self, case: Case) -> httpx.Response:
        plain = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
        headers: dict[str, str | None] = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4()), **case.headers}
        headers |= {"Authorization": f"Bearer {self.token}", "Afterglow-Practitioner": self.names["prescriber"]}
        named = {name: self.named(value) for name, value in headers.items() if value is not None}
        content = self.named(plain.decode()).encode() if b"{stranger}" in plain or b"{patient}" in plain else plain
        return await self.clinic.house.http.request(case.method, self.named(case.path), content=content, headers=named)

    def named(self, text: str) -> str:
        return _NAME.sub(lambda place: self.names.get(place[1], place[0]), text)

    async def counts(self) -> list[Json]:
        """Rows of every table of intake and sessions but the audit trail, on which refusals are written."""
        return [row for service, sql in self.counting.items() for row in await self.clinic.house.rows(service, self.clinic.clinic_id, sql)]


async def counting(clinic: Clinic, service: str) -> str:
    """A statement that counts the rows of all tables that the service reads."""
    tables = [row["name"] for row in await clinic.house.rows(service, clinic.clinic_id, _TABLES)]
    return " UNION ALL ".join(f"SELECT '{table}' AS name, count(*) FROM {table}" for table in tables)  # noqa: S608 - as listed


_TABLES = """
    SELECT DISTINCT table_schema || '.' || table_name AS name FROM information_schema.role_table_grants
    WHERE grantee = current_user AND privilege_type = 'SELECT' AND table_name <> 'audit_event' AND table_schema IN ('public', 'platform')
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(databases: Databases) -> AsyncIterator[Stage]:
    async with house_on(databases, FrozenClock(NEW_YORK_MORNING - timedelta(hours=1, minutes=45))) as house:
        clinic, elsewhere = await house.clinic(), await house.clinic()
        closed, running, arrived, tense, consentless = [await clinic.admit() for _ in range(5)]
        await closed.complete()
        house.clock.set(NEW_YORK_MORNING)
        await come(running, **CALM)
        await running.step("start", started(house), by="prescriber")
        for consent in (await clinic.system.get(f"/intake/v1/patients/{consentless.patient_id}/consents"))["items"]:
            if consent["consent_type"] == "treatment":
                await clinic.system.post(f"/intake/v1/consents/{consent['consent_id']}/revoke", {"requested_by": "patient"})
        house.clock.advance(timedelta(minutes=40))
        await come(arrived, **CALM)
        await come(tense, **{**CALM, "systolic_mmhg": 170})
        await come(consentless, **CALM)
        people = {"closed": closed, "running": running, "arrived": arrived, "tense": tense, "consentless": consentless}
        names = {name: patient.infusion_id for name, patient in people.items()} | {
            "patient": arrived.patient_id,
            "stranger": (await elsewhere.admit()).patient_id,
            "prescriber": str(clinic.staff["prescriber"]),
            "used": str(uuid4()),
        }
        stage = Stage(
            clinic, names, await clinic.system.access_token(), {name: await counting(clinic, name) for name in ("intake", "sessions")}
        )
        first = Case(33, "/intake/v1/patients", person(given_name="First"), 201, "", headers={"Idempotency-Key": "{used}"})
        assert (await stage.send(first)).status_code == 201
        await house.settled()
        yield stage


async def come(patient: Patient, **readings: object) -> None:
    """Arrive and be measured."""
    await patient.book()
    await patient.step("check-in")
    await patient.step("vital-signs", {"measured_at": patient.clinic.house.clock.now().isoformat(), "moaa_s_score": 5, **readings})


def started(house: House) -> Json:
    return {
        "pump_started_at": house.clock.now().isoformat(),
        "weight": {"value": 80, "unit": "kg"},
        "dose_ordered": {"value": 40, "unit": "mg"},
    }


@pytest.mark.parametrize("case", CASES, ids=[f"row-{case.row}-{case.code}-{number}" for number, case in enumerate(CASES)])
async def test_bad_input_is_answered_as_promised_and_leaves_nothing(stage: Stage, case: Case) -> None:
    before = await stage.counts()
    answer = await stage.send(case)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (case.status, case.code)
    assert case.shows in answer.text
    assert await stage.counts() == before


def test_every_row_of_the_table_has_its_case() -> None:
    assert {case.row for case in CASES} | ELSEWHERE.keys() | LATER == ROWS


@pytest.mark.parametrize("name", [name for names in ELSEWHERE.values() for name in names])
def test_what_is_shown_elsewhere_is_there(name: str) -> None:
    file, _, test = name.partition("::")
    assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("line_end", [b"\r", b"\n", b"\r\n\r\n", b"\x00"], ids=["cr", "lf", "crlf", "nul"])
async def test_a_line_end_in_a_header_is_refused(stage: Stage, line_end: bytes) -> None:
    """Sent by hand, since no client would: what follows the line end must not become a request or a header of an answer."""
    address = httpx.URL(stage.clinic.house.origin)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(
        b"GET /intake/v1/patients HTTP/1.1\r\nHost: x\r\nX-Request-Id: a" + line_end + b"X-Injected: yes\r\nConnection: close\r\n\r\n"
    )
    answer = await reader.read()
    writer.close()
    assert answer.split(b" ", 2)[1] in {b"400", b"401"}
    assert b"njected" not in answer
