"""The intake service on a fresh database, behind its HTTP edge, with an operator and two clinics."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from joserfc.jwk import ECKey
from sqlalchemy import func, select, text
from sqlalchemy import table as table_named

from services.intake.app import UNTOLD, build
from services.intake.identity.commands import register_client
from services.intake.identity.registration import Registration
from services.intake.identity.rules import SCOPES, ClientKind, known
from services.intake.identity.tokens import SigningKeys, TokenIssuer
from services.intake.retelling import Retelling
from services.intake.settings import Settings
from shared.clock import FrozenClock
from shared.local import LocalBus
from shared.service import Service
from shared.web import application
from tests.conftest import NEW_YORK_MORNING
from tests.support.databases import Databases

Json = dict[str, Any]  # Any: a decoded JSON document
ORIGIN = "https://care.example.org"
NOWHERE = "postgresql+asyncpg://intake@127.0.0.1:1/intake"


class Caller:
    """A client with a token for everything that it is registered for."""

    def __init__(self, http: httpx.AsyncClient, client_id: str, token: str, key: ECKey, clinic_id: UUID | None) -> None:
        self._http = http
        self.client_id = client_id
        self.token = token
        self.key = key
        self.clinic_id = clinic_id
        self.acting: UUID | None = None
        """The practitioner for whom it acts unless told otherwise."""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self._http.get(path, headers=self._headers(headers))

    async def post(self, path: str, body: Json | None = None, *, acting: UUID | None = None, **headers: str) -> httpx.Response:
        named = {"Idempotency-Key": str(uuid4()), **self._headers(headers, acting)}
        return await self._http.post(path, json=body if body is not None else {}, headers=named)

    async def patch(self, path: str, body: Json, version: int | None, *, acting: UUID | None = None) -> httpx.Response:
        named = {"If-Match": f'W/"{version}"'} if version is not None else {}
        return await self._http.patch(path, json=body, headers=self._headers(named, acting))

    def _headers(self, more: dict[str, str], acting: UUID | None = None) -> dict[str, str]:
        acting = acting or self.acting
        named = {"Afterglow-Practitioner": str(acting)} if acting else {}
        return {"Authorization": f"Bearer {self.token}", **named, **{name.replace("_", "-"): value for name, value in more.items()}}


class Intake:
    """The running service and what tests do with it."""

    def __init__(self, service: Service, issuer: TokenIssuer, http: httpx.AsyncClient) -> None:
        self.service = service
        self.issuer = issuer
        self.http = http

    async def client(self, kind: ClientKind, *, clinic_id: UUID | None = None, **changes: Any) -> Caller:
        """Register a client and give it a token."""
        key = ECKey.generate_key("P-384", {"kid": uuid4().hex, "alg": "ES384", "use": "sig"}, private=True)
        wanted: Json = {"client_id": str(uuid4()), "kind": kind, "clinic_id": clinic_id, "name": f"A {kind}", "scopes": sorted(known(kind))}
        wanted |= {"jwks": {"keys": [key.as_dict(private=False)]}, "may_act_for_practitioners": kind is ClientKind.CLINIC_SYSTEM}
        async with self.service.database.transaction() as db:
            registration = Registration.model_validate({**wanted, **changes})
            client = await register_client(db, registration, at=self.service.clock.now(), by="Test")
        token = self.issuer.issue(client, client.scopes).token
        return Caller(self.http, client.client_id, token, key, clinic_id)

    async def events(self, *, of: str) -> list[tuple[str, Json]]:
        """What was emitted about this id, in order: type without producer and version, and the data."""
        async with self.service.database.transaction() as db:
            rows = await db.execute(text("SELECT type, data FROM platform.event_log ORDER BY seq"))
            found = [(row.type.removeprefix("intake.").removesuffix(".v1"), json.loads(row.data)) for row in rows]
        return [(kind, data) for kind, data in found if of in data.values()]

    async def by_release_before(self, clinic: Caller, *statements: str, **parameters: object) -> None:
        """What a replica of the release before writes beside us: it knows no column that came since."""
        async with self.service.database.transaction(clinic.clinic_id) as db:
            for statement in statements:
                await db.execute(text(statement), {"now": self.service.clock.now(), **parameters})

    async def count(self, table: str, clinic_id: UUID) -> int:
        """Rows of a table that the clinic can see."""
        async with self.service.database.transaction(clinic_id) as db:
            return int((await db.execute(select(func.count()).select_from(table_named(table)))).scalar_one())


def settings_with(**changes: str) -> Settings:
    """Settings as from the environment; the environment of this machine plays no part."""
    given = {"AFTERGLOW_ENV": "test", "AFTERGLOW_PUBLIC_URL": ORIGIN, "cursor_key": "k" * 40}
    return Settings.model_validate({**given, "database_url": NOWHERE, "signing_keys": SigningKeys.generate(), **changes})


@pytest.fixture(scope="session")
async def running(databases: Databases) -> AsyncIterator[Intake]:
    """One service for all tests of this folder: each has clinics of its own, which see nothing of each other."""
    signing_keys = SigningKeys.generate()
    async with databases.clone("intake") as url:
        settings = settings_with(database_url=url, signing_keys=signing_keys)
        service = build(settings, LocalBus(), FrozenClock(NEW_YORK_MORNING))
        transport = httpx.ASGITransport(application(service), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            yield Intake(service, TokenIssuer(SigningKeys(signing_keys), issuer=settings.token_issuer), http)
        await service.database.close()


@pytest.fixture
def clock(running: Intake) -> FrozenClock:
    """The service's clock, at the same moment for every test."""
    assert isinstance(running.service.clock, FrozenClock)
    running.service.clock.set(NEW_YORK_MORNING)
    return running.service.clock


@pytest.fixture
def intake(running: Intake, clock: FrozenClock) -> Intake:
    return running


@pytest.fixture
def retelling(intake: Intake) -> Retelling:
    """What tells again, as the service runs it."""
    return Retelling(intake.service.database, intake.service.clock, intake.service.metrics, UNTOLD)


@pytest.fixture
async def operator(intake: Intake) -> Caller:
    return await intake.client(ClientKind.OPERATOR)


def clinic_body(**changes: object) -> Json:
    return {
        "name": "Harbor Clinic",
        "time_zone": "America/New_York",
        "phone": "+12125550100",
        "sender_name": "Harbor Appointments",
        **changes,
    }


async def open_clinic(intake: Intake, operator: Caller, **changes: object) -> Caller:
    """A registered clinic's own system, which acts for its prescriber, who also registers its staff."""
    registered = await operator.post("/intake/v1/clinics", clinic_body(**changes))
    assert registered.status_code == 201, registered.text
    clinic = await intake.client(ClientKind.CLINIC_SYSTEM, clinic_id=UUID(registered.json()["clinic_id"]))
    clinic.acting = UUID((await practitioner(clinic, "prescriber", "clinic-admin"))["practitioner_id"])
    return clinic


@pytest.fixture
async def clinic(intake: Intake, operator: Caller) -> Caller:
    return await open_clinic(intake, operator)


@pytest.fixture
async def other_clinic(intake: Intake, operator: Caller) -> Caller:
    return await open_clinic(intake, operator, name="Mesa Clinic", time_zone="America/Denver")


@pytest.fixture
async def followup(intake: Intake) -> Caller:
    return await intake.client(ClientKind.SERVICE, scopes=sorted(SCOPES[ClientKind.SERVICE]["intake"]))


async def practitioner(clinic: Caller, *roles: str) -> Json:
    body = {"given_name": "Ines", "family_name": "Okafor", "roles": list(roles)}
    answer = await clinic.post("/intake/v1/practitioners", body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def patient_body(**changes: object) -> Json:
    return {
        "given_name": "Marisol",
        "family_name": "Quarterstaff",
        "birth_date": "1988-04-17",
        "email": "marisol@example.org",
        "phone": "+12125550123",
        "language": "en",
        "time_zone": "America/New_York",
        "preferred_channel": "email",
        **changes,
    }


async def registered_patient(clinic: Caller, **changes: object) -> Json:
    """The same person each time, unless ``changes`` say otherwise, and said to be somebody else than those before."""
    body = {"duplicate_confirmation": {"reason": "A namesake."}, **patient_body(**changes)}
    answer = await clinic.post("/intake/v1/patients", body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def signed_consent(clinic: Caller, patient: Json, consent_type: str = "messaging", **changes: object) -> Json:
    body = {"consent_type": consent_type, "consent_version": "2026-03", "signed_at": "2026-11-20T10:00:00-05:00", **changes}
    answer = await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/consents", body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def course_body(clinic: Caller, patient: Json, **changes: object) -> Json:
    return {
        "patient_id": patient["patient_id"],
        "protocol_code": "default",
        "protocol_version": 1,
        "planned_infusions": 6,
        "cadence": "two-per-week",
        "responsible_clinician_id": str(clinic.acting),
        **changes,
    }


async def started_course(clinic: Caller, patient: Json, **changes: object) -> Json:
    answer = await clinic.post("/intake/v1/courses", course_body(clinic, patient, **changes))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def assert_refused(answer: httpx.Response, status: int, code: str, pointer: str | None = None) -> None:
    """The answer is a problem of this status and code, about this member."""
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    if pointer is not None:
        assert pointer in [error["pointer"] for error in body["errors"]], answer.text
