"""The calls that followup makes to the others: one token for a while, bounded by what is answered, never guessed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.followup.calls import SCOPES, Counted
from services.followup.intake_client import IntakeClient
from services.followup.service_token import ServiceToken
from services.followup.sessions_client import SessionsClient
from services.secrets import SERVICE_CLIENTS
from shared.errors import Unavailable
from shared.telemetry import Metrics

KEY = ECKey.generate_key("P-384", {"kid": "followup-1", "alg": "ES384", "use": "sig"}, private=True)
CLINIC = uuid4()
CONTACT = {
    "may_send": True,
    "reason": None,
    "channel": "email",
    "address": "someone@example.org",
    "language": "en",
    "birth_date_salt": "00",
    "birth_date_hash": "11",
    "clinic_name": "Harbor Clinic",
    "sender_name": "Harbor Appointments",
    "clinic_phone": "+12125550100",
    "crisis_line": "988",
}
PAGE_FACTS = {
    "birth_date_salt": "00",
    "birth_date_hash": "11",
    "language": "en",
    "time_zone": "America/New_York",
    "sender_name": "Harbor Appointments",
    "clinic_phone": "+12125550100",
    "crisis_line": "988",
    "clinic_active": True,
}


@dataclass
class Others:
    """Intake and sessions as small as can be: a token endpoint, a directory, a list of ended infusions in pages of two."""

    names: dict[UUID, str] = field(default_factory=dict)
    ended: list[dict[str, Any]] = field(default_factory=list)  # Any: JSON
    tokens: list[dict[str, Any]] = field(default_factory=list)  # Any: claims
    asked: list[list[str]] = field(default_factory=list)
    expires_in: int = 300
    refuse: int = 0
    """Answer so many calls with 401."""
    broken: Response | None = None
    """Answer the directory and the list with this."""
    silent: bool = False
    """Take a question and never answer it."""

    async def answer_nothing(self, _request: Request) -> Response:
        return Response()

    async def token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        assertion = jwt.decode(form["client_assertion"], KEY, algorithms=["ES384"])
        self.tokens.append({**assertion.claims, "scope": form["scope"], "kid": assertion.header["kid"]})
        return JSONResponse({"access_token": f"token-{len(self.tokens)}", "token_type": "bearer", "expires_in": self.expires_in})

    def _refusal(self, request: Request) -> Response | None:
        assert request.headers["Afterglow-Clinic"] == str(CLINIC)
        if self.refuse:
            self.refuse -= 1
            return JSONResponse({"code": "token-invalid"}, status_code=401)
        return self.broken

    async def directory(self, request: Request) -> Response:
        if refused := self._refusal(request):
            return refused
        body = json.loads(await request.body())
        if self.silent:
            await asyncio.Event().wait()
        if "patient_id" in body:
            return JSONResponse(CONTACT if request.url.path.endswith("/contact") else PAGE_FACTS)
        self.asked.append(body["patient_ids"])
        return JSONResponse({"names": {one: self.names[UUID(one)] for one in body["patient_ids"] if UUID(one) in self.names}})

    async def ended_infusions(self, request: Request) -> Response:
        if refused := self._refusal(request):
            return refused
        start = int(request.query_params.get("cursor", "0"))
        following = f"/sessions/v1/ended-infusions?cursor={start + 2}" if start + 2 < len(self.ended) else None
        return JSONResponse({"items": self.ended[start : start + 2], "next": following})


@pytest.fixture
def others() -> Others:
    return Others()


@pytest_asyncio.fixture(loop_scope="session")
async def http(others: Others) -> AsyncIterator[httpx.AsyncClient]:
    routes = [
        Route("/intake/oauth/token", others.token, methods=["POST"]),
        Route("/intake/v1/directory/{what}", others.directory, methods=["POST"]),
        Route("/sessions/v1/ended-infusions", others.ended_infusions),
    ]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=routes))) as client:
        yield client


@pytest.fixture
def token(http: httpx.AsyncClient) -> ServiceToken:
    return ServiceToken(
        http,
        token_url="http://intake.test/intake/oauth/token",
        audience="https://care.test/intake/oauth/token",
        client_id="followup",
        key=KEY,
        scopes=("service/Directory.r", "service/Procedure.r"),
    )


@pytest.fixture
def intake(http: httpx.AsyncClient, token: ServiceToken) -> IntakeClient:
    return IntakeClient(http, token, "http://intake.test")


@pytest.fixture
def sessions(http: httpx.AsyncClient, token: ServiceToken) -> SessionsClient:
    return SessionsClient(http, token, "http://sessions.test")


def test_what_followup_asks_for_is_what_an_installation_gives_it() -> None:
    assert SERVICE_CLIENTS["followup"] == SCOPES


async def test_one_token_serves_until_shortly_before_it_expires(others: Others, intake: IntakeClient) -> None:
    for _ in range(3):
        await intake.contact(CLINIC, uuid4())
    [claims] = others.tokens
    assert (claims["iss"], claims["sub"], claims["aud"], claims["kid"]) == (
        "followup",
        "followup",
        "https://care.test/intake/oauth/token",
        "followup-1",
    )
    assert claims["exp"] - claims["iat"] <= 300
    assert claims["scope"] == "service/Directory.r service/Procedure.r"


async def test_a_token_about_to_expire_is_asked_for_again_with_an_assertion_of_its_own(others: Others, intake: IntakeClient) -> None:
    others.expires_in = 59
    for _ in range(2):
        await intake.contact(CLINIC, uuid4())
    assert len({claims["jti"] for claims in others.tokens}) == 2


async def test_a_refused_token_is_forgotten(others: Others, intake: IntakeClient) -> None:
    others.refuse = 1
    with pytest.raises(Unavailable):
        await intake.contact(CLINIC, uuid4())
    assert (await intake.contact(CLINIC, uuid4())).address == "someone@example.org"
    assert len(others.tokens) == 2


async def test_names_are_asked_for_once_in_a_while(others: Others, intake: IntakeClient) -> None:
    ana, ben, stranger = uuid4(), uuid4(), uuid4()
    others.names = {ana: "Ana Okafor", ben: "Ben Lund"}
    assert await intake.names(CLINIC, [ana]) == {ana: "Ana Okafor"}
    assert await intake.names(CLINIC, [ana, ben, stranger]) == {ana: "Ana Okafor", ben: "Ben Lund"}
    assert [set(asked) for asked in others.asked] == [{str(ana)}, {str(ben), str(stranger)}]


async def test_many_names_are_asked_for_in_parts(others: Others, intake: IntakeClient) -> None:
    others.names = {uuid4(): f"Patient {number}" for number in range(450)}
    assert await intake.names(CLINIC, list(others.names)) == others.names
    assert sorted(len(asked) for asked in others.asked) == [50, 200, 200]


async def test_where_names_cannot_be_had_a_page_does_without(others: Others, intake: IntakeClient) -> None:
    others.broken = JSONResponse({}, status_code=503)
    assert await intake.names(CLINIC, [uuid4()]) == {}


@pytest.mark.parametrize(
    "broken", [JSONResponse({}, status_code=500), JSONResponse({"may_send": "perhaps"}), Response(b"not json"), JSONResponse([])]
)
async def test_an_answer_that_is_none_is_never_guessed(
    others: Others, intake: IntakeClient, sessions: SessionsClient, broken: Response
) -> None:
    others.broken = broken
    with pytest.raises(Unavailable):
        await intake.contact(CLINIC, uuid4())
    with pytest.raises(Unavailable):
        await _ended(sessions)


async def test_an_intake_of_the_release_before_tells_no_zone_and_does_not_count_the_ways(intake: IntakeClient) -> None:
    contact = await intake.contact(CLINIC, uuid4())
    assert (contact.time_zone, contact.contact_version) == (None, None)


async def test_what_a_page_shows_is_asked_for_each_time(others: Others, intake: IntakeClient) -> None:
    facts = await intake.page_facts(CLINIC, uuid4())
    assert (facts.clinic_phone, facts.birth_date_hash, facts.clinic_active) == ("+12125550100", "11", True)
    others.broken = JSONResponse({}, status_code=503)
    with pytest.raises(Unavailable):
        await intake.page_facts(CLINIC, uuid4())


async def test_a_page_does_not_wait_long_for_an_intake_that_takes_the_question_and_is_silent(others: Others, intake: IntakeClient) -> None:
    others.silent = True
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await intake.page_facts(CLINIC, uuid4())
    assert time.monotonic() - started < 4


async def test_ended_infusions_come_page_by_page(others: Others, sessions: SessionsClient) -> None:
    at = datetime(2026, 11, 23, 14, tzinfo=UTC).isoformat()
    others.ended = [
        {
            "infusion_id": str(uuid4()),
            "patient_id": str(uuid4()),
            "version": 4,
            "outcome": "completed",
            "drug_given": True,
            "pump_ended_at": at,
            "ended_at": at,
            "something_new": 1,
        }
        for _ in range(5)
    ]
    assert [str(one) for one in await _ended(sessions)] == [one["infusion_id"] for one in others.ended]


async def test_who_is_away_is_unavailable_and_not_an_error(token: ServiceToken) -> None:
    async with httpx.AsyncClient(timeout=1) as nobody:
        away = ServiceToken(
            nobody, token_url="http://127.0.0.1:9/intake/oauth/token", audience="a", client_id="followup", key=KEY, scopes=("a",)
        )
        with pytest.raises(Unavailable):
            await IntakeClient(nobody, away, "http://127.0.0.1:9").contact(CLINIC, uuid4())
        assert await IntakeClient(nobody, away, "http://127.0.0.1:9").names(CLINIC, [uuid4()]) == {}
        with pytest.raises(Unavailable):
            await _ended(SessionsClient(nobody, away, "http://127.0.0.1:9"))


async def test_calls_are_counted_by_whom_they_ask_and_how_they_end_and_no_path_is_kept(others: Others) -> None:
    answered, failed = Metrics("followup"), Metrics("followup")
    routes = [Route("/sessions/v1/ended-infusions", others.answer_nothing)]
    async with httpx.AsyncClient(
        transport=Counted(httpx.ASGITransport(Starlette(routes=routes)), answered), base_url="http://x.test"
    ) as http:
        await http.get("/sessions/v1/ended-infusions")
        await http.get("/intake/v1/not-there")
        await http.get("/c/the-key-of-a-patient")
    async with httpx.AsyncClient(transport=Counted(httpx.AsyncHTTPTransport(), failed), base_url="http://127.0.0.1:9") as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/intake/v1/directory/names")
    assert _calls(answered) == {("sessions", "answered"): 1, ("intake", "refused"): 1, ("other", "refused"): 1}
    assert _calls(failed) == {("intake", "failed"): 1}


def _calls(metrics: Metrics) -> dict[tuple[str, str], float]:
    samples = [sample for family in metrics.registry.collect() for sample in family.samples if sample.name == "afterglow_calls_total"]
    return {(sample.labels["peer"], sample.labels["outcome"]): sample.value for sample in samples if sample.value}


async def _ended(sessions: SessionsClient) -> list[UUID]:
    now = datetime.now(UTC)
    return [one.infusion_id async for page in sessions.ended_infusions(CLINIC, now - timedelta(days=1), now) for one in page]
