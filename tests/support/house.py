"""The whole product in the test's own process: three services, one origin on 127.0.0.1, real PostgreSQL, a clock that the test moves."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import httpx
import uvicorn
from fastapi import FastAPI
from joserfc.jwk import ECKey
from sqlalchemy import text

from services import secrets
from services.demo.client import ClinicSystem
from services.embedded import Embedding, Origin, build, safe_settings
from services.followup.app import build as build_followup
from services.intake.app import build as build_intake
from services.sessions.app import build as build_sessions
from shared.bus import Bus
from shared.clock import FrozenClock
from shared.local import LocalBus
from shared.postgres import SERVICES
from shared.service import Service
from shared.web import application
from tests.support.databases import PASSWORD, Databases
from tests.support.ports import free_port
from tests.support.waiting import eventually

Json = dict[str, Any]  # Any: a decoded JSON document

CLINIC_SCOPES = (
    "system/Practitioner.cru", "system/Patient.cru", "system/Consent.cru", "system/CarePlan.cru", "system/Procedure.cru",
    "system/Observation.cr", "system/Task.ru", "system/QuestionnaireResponse.r", "system/Audit.r", "system/Document.cru",
)  # fmt: skip


class ClonedServer:
    """The test's PostgreSQL as the embedded mode sees its private server."""

    def __init__(self, urls: dict[str, str]) -> None:
        self._urls = urls

    def url(self, role: str, _password: str, _database: str) -> str:
        return self._urls[role]


class House:
    """The running product and the clinics in it."""

    def __init__(self, origin: str, services: list[Service], clock: FrozenClock, folder: Path) -> None:
        self.origin = origin
        self.clock = clock
        self.folder = folder
        self.services = {service.name: service for service in services}
        self.apps: Mapping[str, FastAPI] = {}
        self.http = httpx.AsyncClient(base_url=origin, trust_env=False, timeout=10)
        self._clinics: list[Clinic] = []

    async def close(self) -> None:
        await self.http.aclose()
        for clinic in self._clinics:
            await clinic.system.close()

    async def messages(self) -> list[Json]:
        """What has left for patients, oldest first."""
        files = sorted((self.folder / "messages").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return [json.loads(path.read_text()) for path in files]

    def operator(self) -> ClinicSystem:
        key = ECKey.import_key(json.loads(secrets.read(self.folder / "secrets", "operator-client-key.json")))
        return ClinicSystem(self.origin, secrets.OPERATOR_CLIENT, key, secrets.OPERATOR_SCOPES)

    async def clinic(self, **changes: object) -> "Clinic":
        """A new clinic with its system and one practitioner of every role that tests use."""
        operator = self.operator()
        body = {"name": "Harbor Clinic", "time_zone": "America/New_York", "phone": "+12125550100", "sender_name": "Harbor Care", **changes}
        clinic_id = (await operator.post("/intake/v1/clinics", body))["clinic_id"]
        key = ECKey.generate_key("P-384", parameters={"alg": "ES384", "use": "sig", "kid": uuid4().hex}, private=True)
        wanted = {
            "clinic_id": clinic_id,
            "name": "Clinic system",
            "jwks": {"keys": [key.as_dict(private=False)]},
            "scopes": list(CLINIC_SCOPES),
            "may_act_for_practitioners": True,
        }
        client = await operator.post("/intake/v1/clients", wanted)
        await operator.close()
        clinic = Clinic(self, clinic_id, client["client_id"], key)
        self._clinics.append(clinic)
        await clinic.hire()
        return clinic

    async def rows(self, service: str, clinic_id: str, sql: str, **values: object) -> list[dict[str, Any]]:  # Any: column values
        """Look into a service's database, inside a clinic."""
        async with self.services[service].database.transaction(UUID(clinic_id)) as db:
            return [dict(row) for row in (await db.execute(text(sql), values)).mappings()]

    async def settled(self) -> None:
        """Wait until no service has anything to relay or to fire."""
        await eventually(self._quiet)

    async def _quiet(self) -> bool:
        for service in self.services.values():
            async with service.database.transaction() as db:
                busy = await db.execute(
                    text(
                        """
                        SELECT EXISTS (SELECT 1 FROM platform.outbox_pending)
                            OR EXISTS (SELECT 1 FROM platform.timer WHERE state = 'armed' AND due_at <= :now)
                        """
                    ),
                    {"now": self.clock.now()},
                )
                if busy.scalar_one():
                    return False
        return True


class Clinic:
    """One clinic as its own system drives it."""

    def __init__(self, house: House, clinic_id: str, client_id: str, key: ECKey) -> None:
        self.house = house
        self.clinic_id = clinic_id
        self.client_id = client_id
        self.key = key
        self.system = ClinicSystem(house.origin, client_id, key, CLINIC_SCOPES)
        self.staff: dict[str, UUID] = {}

    async def hire(self) -> None:
        for role in ("prescriber", "infusion-nurse", "therapist", "coordinator", "on-call-clinician"):
            await self.hire_one(role, role)
        await self.hire_one("second-nurse", "infusion-nurse")
        await self.hire_one("second-coordinator", "coordinator")
        await self.known()

    async def hire_one(self, name: str, *roles: str) -> UUID:
        body = {"given_name": "Test", "family_name": name.title(), "roles": list(roles)}
        self.staff[name] = UUID((await self.system.post("/intake/v1/practitioners", body))["practitioner_id"])
        return self.staff[name]

    async def known(self) -> None:
        """Wait until the other services have heard of everybody who was hired."""
        for service in ("sessions", "followup"):
            await eventually(partial(self._all_known, service))

    async def _all_known(self, service: str) -> bool:
        known = await self.house.rows(service, self.clinic_id, "SELECT practitioner_id FROM platform.practitioner")
        return set(self.staff.values()) <= {row["practitioner_id"] for row in known}

    async def admit(self, **changes: object) -> "Patient":
        """A patient with both consents and a course."""
        number = uuid4().hex[:8]
        body = {
            "given_name": "Rosalind",
            "family_name": f"Testerly{uuid4().hex}",
            "birth_date": "1984-06-19",
            "email": f"{number}@patients.example",
            "time_zone": "America/New_York",
            "preferred_channel": "email",
            **changes,
        }
        patient = await self.system.post("/intake/v1/patients", body)
        now = self.house.clock.now().isoformat()
        for consent in ("treatment", "messaging"):
            signed = {"consent_type": consent, "consent_version": "1", "signed_at": now}
            await self.system.post(f"/intake/v1/patients/{patient['patient_id']}/consents", signed)
        course = await self.system.post(
            "/intake/v1/courses",
            {
                "patient_id": patient["patient_id"],
                "protocol_code": "default",
                "protocol_version": 1,
                "planned_infusions": 6,
                "cadence": "three-per-week",
                "responsible_clinician_id": str(self.staff["prescriber"]),
                "therapist_id": str(self.staff["therapist"]),
                "coordinator_id": str(self.staff["coordinator"]),
            },
            acting=self.staff["prescriber"],
        )
        return Patient(self, patient, course["course_id"])


class Patient:
    """One patient, and the visit that tests take through its steps."""

    def __init__(self, clinic: Clinic, record: Json, course_id: str) -> None:
        self.clinic = clinic
        self.record = record
        self.patient_id: str = record["patient_id"]
        self.course_id = course_id
        self.infusion_id = ""

    async def book(self) -> str:
        body = {"patient_id": self.patient_id, "course_id": self.course_id, "scheduled_at": self.clinic.house.clock.now().isoformat()}
        booked = await self.clinic.system.post("/sessions/v1/infusions", body, acting=self.clinic.staff["coordinator"])
        self.infusion_id = booked["infusion_id"]
        return self.infusion_id

    async def step(self, step: str, body: Json | None = None, *, by: str = "infusion-nurse", version: int | None = None) -> Json:
        path = f"/sessions/v1/infusions/{self.infusion_id}/{step}"
        return await self.clinic.system.post(path, body or {}, acting=self.clinic.staff[by], version=version)

    async def version(self) -> int:
        """Of the infusion, as somebody has just read it."""
        path, acting = f"/sessions/v1/infusions/{self.infusion_id}", self.clinic.staff["infusion-nurse"]
        return int((await self.clinic.system.get(path, acting=acting))["version"])

    async def infuse(self, *, minutes: int = 40) -> None:
        """From booking to the end of the pump, which is now."""
        clock = self.clinic.house.clock
        await self.book()
        await self.step("check-in")
        started = clock.now()
        await self.step(
            "vital-signs",
            {
                "measured_at": started.isoformat(),
                "systolic_mmhg": 122,
                "diastolic_mmhg": 78,
                "heart_rate_per_min": 70,
                "spo2_percent": 98,
                "respiratory_rate_per_min": 14,
                "moaa_s_score": 5,
            },
        )
        order = {"pump_started_at": started.isoformat(), "weight": {"value": 80, "unit": "kg"}, "dose_ordered": {"value": 40, "unit": "mg"}}
        await self.step("start", order, by="prescriber")
        clock.advance(timedelta(minutes=minutes))
        await self.step("pump-end", {"pump_ended_at": clock.now().isoformat(), "dose_given": {"value": 40, "unit": "mg"}})

    async def complete(self) -> None:
        """A whole infusion, discharged 65 minutes after the pump ended."""
        await self.infuse()
        now = self.clinic.house.clock.advance(timedelta(minutes=65))
        await self.step("complete", {"discharged_at": now.isoformat()}, by="prescriber")

    async def plans(self) -> list[Json]:
        answer = await self.clinic.system.get("/followup/v1/plans", acting=self.clinic.staff["coordinator"], infusion_id=self.infusion_id)
        return list(answer["items"])

    async def check_ins(self) -> dict[str, str]:
        """State by code."""
        return {row["code"]: row["status"] for row in await self._rows("SELECT code, status FROM check_in")}

    async def tasks(self) -> dict[str, str]:
        """State by kind."""
        return {row["kind"]: row["status"] for row in await self._rows("SELECT kind, status FROM care_task")}

    async def _rows(self, sql: str) -> list[Json]:
        patient_id = UUID(self.patient_id)
        return await self.clinic.house.rows("followup", self.clinic.clinic_id, f"{sql} WHERE patient_id = :patient", patient=patient_id)


@asynccontextmanager
async def house_on(databases: Databases, clock: FrozenClock, *, bus_of: Callable[[str], Bus] | None = None) -> AsyncIterator[House]:
    """Build and run the product on fresh databases; each service on a bus of its own where ``bus_of`` makes one."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afterglow-house-")))
        urls = {service: await stack.enter_async_context(databases.clone(service)) for service in SERVICES}
        secrets.generate(folder / "secrets")
        for service in SERVICES:
            (folder / "secrets" / f"{service}-database-password").write_text(PASSWORD)
        port = free_port()
        embedding = Embedding(folder, port=port, env="test")
        # The audit runs by itself in production; here often enough that a test need not wait a minute for it.
        with patch.dict(os.environ, {"FOLLOWUP_AUDIT_EVERY_SECONDS": "0.3"}):
            services = (
                build(embedding, ClonedServer(urls), clock) if bus_of is None else _apart(embedding, ClonedServer(urls), clock, bus_of)
            )
        for producer in services:
            if isinstance(producer.bus, LocalBus):
                await producer.bus.catch_up(producer.database, f"{producer.name}.events")
            else:
                stack.push_async_callback(producer.bus.close)
        apps = {service.name: application(service) for service in services}
        for app in apps.values():
            await stack.enter_async_context(app.router.lifespan_context(app))
        await stack.enter_async_context(_listening(Origin(apps), port))
        for started in services:
            await eventually(started.ready, lambda reasons: not reasons)
        house = House(embedding.origin, services, clock, folder)
        house.apps = apps
        stack.push_async_callback(house.close)
        yield house


def _apart(embedding: Embedding, server: ClonedServer, clock: FrozenClock, bus_of: Callable[[str], Bus]) -> list[Service]:
    intake, sessions, followup = safe_settings(embedding, server)
    return [
        build_intake(intake, bus_of("intake"), clock),
        build_sessions(sessions, bus_of("sessions"), clock),
        build_followup(followup, bus_of("followup"), clock),
    ]


@asynccontextmanager
async def _listening(app: Origin, port: int) -> AsyncIterator[None]:
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())  # noqa: SLF001 - without its signal handlers, which belong to the test run
    await eventually(partial(_started, server))
    try:
        yield
    finally:
        server.should_exit = True
        await task


async def _started(server: uvicorn.Server) -> bool:
    return server.started
