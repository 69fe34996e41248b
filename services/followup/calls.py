"""The calls that followup makes to the other services: who they are made as, how long they may take, and that they are closed."""

import asyncio
from json import loads

import httpx
from joserfc.jwk import ECKey

from services.followup.intake_client import IntakeClient
from services.followup.service_token import ServiceToken
from services.followup.sessions_client import SessionsClient
from services.followup.settings import Settings
from shared.telemetry import Metrics

SCOPES = ("service/Directory.r", "service/Procedure.r")
"""Intake's directory, and the infusions that have ended at sessions."""

_PEERS = ("intake", "sessions")
_TIMEOUT = httpx.Timeout(5.0, connect=2.0, pool=5.0)


class Calls:
    """One HTTP client and one token for all of them. Nothing here is needed to accept work, and nothing runs inside a transaction."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        counted = Counted(httpx.AsyncHTTPTransport(trust_env=False), metrics)
        self._http = httpx.AsyncClient(transport=counted, timeout=_TIMEOUT, follow_redirects=False, trust_env=False)
        token = ServiceToken(
            self._http,
            token_url=f"{settings.intake_url}/intake/oauth/token",
            audience=f"{settings.token_issuer}/oauth/token",
            client_id=settings.client_id,
            key=ECKey.import_key(loads(settings.client_key.get_secret_value())),
            scopes=SCOPES,
        )
        self.intake = IntakeClient(self._http, token, settings.intake_url)
        self.sessions = SessionsClient(self._http, token, settings.sessions_url.rstrip("/"))

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the connections until the service stops."""
        await stop.wait()
        await self._http.aclose()


class Counted(httpx.AsyncBaseTransport):
    """Counts calls by the service that was asked, which is the first segment of the path, and by how they ended."""

    def __init__(self, inner: httpx.AsyncBaseTransport, metrics: Metrics) -> None:
        self._inner = inner
        self._calls = metrics.counter("afterglow_calls_total", "Calls to other services", ("peer", "outcome"))
        for peer in _PEERS:
            for outcome in ("answered", "refused", "failed"):
                self._calls.labels(peer, outcome)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        segment = request.url.path.split("/", 2)[1]
        peer = segment if segment in _PEERS else "other"  # never a path that came from elsewhere
        try:
            answer = await self._inner.handle_async_request(request)
        except httpx.HTTPError:
            self._calls.labels(peer, "failed").inc()
            raise
        self._calls.labels(peer, "answered" if answer.is_success else "refused").inc()
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()
