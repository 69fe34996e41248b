"""What clinic systems see of check-ins, through the whole HTTP edge."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey

from services.followup.checkins import answers as answering
from services.followup.checkins.api import check_in_routes
from shared.events.intake import ClientChanged, PractitionerChanged
from shared.local import LocalBus
from shared.security.projection import upsert_client, upsert_practitioner
from shared.security.tokens import StaticJwks
from shared.service import Service
from shared.settings import ServiceSettings
from shared.telemetry import Metrics
from shared.web import application
from tests.followup.checkins.world import World

ORIGIN = "http://127.0.0.1:8000"
KEY = ECKey.generate_key("P-256", {"kid": "first", "use": "sig"})
CLINICAL = (
    "prescriber", "mental-health-reviewer", "therapist", "infusion-nurse", "intake-nurse", "on-call-clinician", "medical-director",
)  # fmt: skip


class ClinicSystem:
    """A client of the clinic that acts for whoever holds a role."""

    def __init__(self, world: World, http: httpx.AsyncClient) -> None:
        self.world = world
        self.http = http

    async def get(self, path: str, *, role: str | None = "prescriber", scope: str = "system/QuestionnaireResponse.r") -> httpx.Response:
        """Read as a new practitioner with this role."""
        headers = {"Authorization": f"Bearer {self._token(scope)}"}
        if role is not None:
            headers["Afterglow-Practitioner"] = str(await self._hired(role))
        return await self.http.get(path, headers=headers)

    async def _hired(self, role: str) -> UUID:
        now, practitioner_id = self.world.clock.now(), uuid4()
        person = PractitionerChanged(practitioner_id=practitioner_id, practitioner_version=1, roles=[role], active=True, occurred_at=now)
        client = ClientChanged(client_id="clinic-a", client_version=1, active=True, may_act_for_practitioners=True, occurred_at=now)
        async with self.world.database.transaction(self.world.clinic_id) as db:
            await upsert_practitioner(db, self.world.clinic_id, [person])
            await upsert_client(db, self.world.clinic_id, [client])
        return practitioner_id

    def _token(self, scope: str) -> str:
        now = int(time.time())
        claims = {
            "iss": f"{ORIGIN}/intake",
            "sub": "clinic-a",
            "aud": ["followup"],
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": str(uuid4()),
            "kind": "clinic-system",
            "clinic_id": str(self.world.clinic_id),
            "scope": scope,
        }
        return jwt.encode({"alg": "ES256", "kid": "first"}, claims, KEY, algorithms=["ES256"])


@pytest_asyncio.fixture(loop_scope="session")
async def system(world: World) -> AsyncIterator[ClinicSystem]:
    given = {"AFTERGLOW_ENV": "test", "AFTERGLOW_PUBLIC_URL": ORIGIN, "database_url": world.database.url, "cursor_key": "k" * 32}
    service = Service(
        name="followup",
        settings=ServiceSettings.model_validate(given),
        database=world.database,
        bus=LocalBus(),
        clock=world.clock,
        metrics=Metrics("followup"),
        routers=[check_in_routes(world.setup.forms)],
        records={"check_in_id": "check_in"},
        jwks=StaticJwks({"keys": [KEY.as_dict(private=False)]}),
    )
    transport = httpx.ASGITransport(application(service))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        yield ClinicSystem(world, http)


async def answered(world: World) -> str:
    """A check-in with blood in the urine and three questions left out; returns its address."""
    new = await world.opened()
    form = world.setup.forms.of_check_in["C24"]
    answers = {item.item_id: "declined" for item in form.items.values() if item.risk} | {"urine_blood": "yes", "unreal": "no"}
    async with world.database.transaction(world.clinic_id) as db:
        await answering.submit(db, new.check_in_id, answers, world.clock.now(), world.setup)
    return f"/followup/v1/check-ins/{new.check_in_id}"


async def test_a_list_shows_where_each_stands_oldest_first_page_by_page(world: World, system: ClinicSystem) -> None:
    await answered(world)
    await world.requested("C72", opens_at=world.clock.now() + timedelta(hours=9))
    await world.requested("WK", opens_at=world.clock.now() + timedelta(hours=5))
    first = await system.get(f"/followup/v1/check-ins?patient_id={world.patient_id}&limit=2", role="coordinator")
    assert [(item["code"], item["status"], item["level"]) for item in first.json()["items"]] == [
        ("C24", "submitted", "urgent"),
        ("WK", "planned", None),
    ]
    assert "answers" not in first.json()["items"][0]
    second = await system.get(first.json()["next"], role="coordinator")
    assert [item["code"] for item in second.json()["items"]] == ["C72"]
    assert second.json()["next"] is None


@pytest.mark.parametrize("role", CLINICAL)
async def test_clinical_roles_see_answers_and_why_they_worry(world: World, system: ClinicSystem, role: str) -> None:
    answer = await system.get(await answered(world), role=role)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["answers_visible"] is True
    items = {item["item"]: item["answer"] for item in shown["answers"]["items"]}
    assert (items["urine_blood"], items["unreal"], items["distress"], items["body_headache"]) == ("yes", "no", "declined", None)
    assert shown["answers"]["form_code"] == "safety-set"
    blood = next(worry for worry in shown["worries"] if worry["rule_id"] == "blood-in-urine")
    assert (blood["item"], blood["level"], blood["rule_version"]) == ("urine_blood", "urgent", 1)
    assert blood["source"]
    assert answer.headers["etag"] == f'W/"{shown["version"]}"'


async def test_a_coordinator_sees_state_and_level_and_nothing_that_was_answered(world: World, system: ClinicSystem) -> None:
    answer = await system.get(await answered(world), role="coordinator")
    shown = answer.json()
    assert (shown["status"], shown["level"], shown["answers_visible"]) == ("submitted", "urgent", False)
    assert shown["answers"] is None
    assert shown["worries"] is None
    assert not any(word in answer.text for word in ("blood", "urine", "declined", "distress"))


@pytest.mark.parametrize(
    ("role", "scope", "status"),
    [
        ("clinic-admin", "system/QuestionnaireResponse.r", 403),
        ("auditor", "system/QuestionnaireResponse.r", 403),
        (None, "system/QuestionnaireResponse.r", 403),
        ("prescriber", "system/Task.r", 403),
    ],
)
async def test_nobody_else_sees_a_check_in(world: World, system: ClinicSystem, role: str | None, scope: str, status: int) -> None:
    path = await answered(world)
    assert (await system.get(path, role=role, scope=scope)).status_code == status
    assert (await system.get(f"/followup/v1/check-ins?patient_id={world.patient_id}", role=role, scope=scope)).status_code == status


async def test_another_clinics_check_in_is_as_unknown_as_a_random_one(world: World, system: ClinicSystem) -> None:
    path = await answered(world)
    world.clinic_id = uuid4()
    theirs, random = await system.get(path), await system.get(f"/followup/v1/check-ins/{uuid4()}")
    assert theirs.status_code == random.status_code == 404
    assert theirs.json()["detail"] == random.json()["detail"]
    assert (await system.get(f"/followup/v1/check-ins?patient_id={world.patient_id}")).json()["items"] == []


async def test_reading_answers_leaves_an_audit_row_that_names_the_patient(world: World, system: ClinicSystem) -> None:
    await system.get(await answered(world))
    (row,) = await world.read("SELECT * FROM audit_event")
    assert (row.operation, row.phi, row.patient_id, row.outcome) == ("show_check_in", "read", world.patient_id, 200)
