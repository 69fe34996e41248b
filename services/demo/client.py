"""A clinic system's side of the APIs: its key, its token, and a retry that never changes what it asked for."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx
from joserfc.jwk import ECKey

from shared.security.assertions import token_request

Json = dict[str, Any]  # Any: a decoded JSON document

_CODES_TO_WAIT_FOR = frozenset(
    {
        "idempotency-key-in-flight",
        "reference-not-found",
        "not-found",
        "client-unknown",
        "practitioner-unknown",
        "consent-missing",
    }
)
"""Refusals that pass by themselves: another service has not heard of it yet, or somebody is being restarted."""


class Refused(Exception):
    """The API said no, and repeating would not help."""

    def __init__(self, method: str, path: str, status: int, code: str) -> None:
        super().__init__(f"{method} {path} -> {status} {code}")
        self.status = status
        self.code = code


class ClinicSystem:
    """One registered machine client; acts for a practitioner where one is named."""

    patience_seconds = 60.0
    """How long one request is asked for again before it counts as refused."""

    def __init__(self, origin: str, client_id: str, key: ECKey, scopes: tuple[str, ...], trust: ssl.SSLContext | None = None) -> None:
        self._origin = origin
        self.client_id = client_id
        self._key = key
        self._scopes = scopes
        self._token = ""
        self._token_until = 0.0
        self._http = httpx.AsyncClient(base_url=origin, timeout=10, trust_env=False, verify=True if trust is None else trust)
        self.requests = 0

    async def get(self, path: str, *, acting: UUID | None = None, **query: str) -> Json:
        """Read something."""
        return (await self._call("GET", path, acting=acting, query=query)).json()  # type: ignore[no-any-return]  # JSON is Any

    async def post(self, path: str, body: Mapping[str, object], *, acting: UUID | None = None, version: int | None = None) -> Json:
        """Do something once, however often it has to be asked for; with ``version``, only while the thing is at it."""
        headers = {"Idempotency-Key": f'"{uuid4()}"'} | ({"If-Match": f'W/"{version}"'} if version is not None else {})
        answer = await self._call("POST", path, acting=acting, body=body, headers=headers)
        return answer.json() if answer.content else {}

    async def patch(self, path: str, body: Mapping[str, object], version: int, *, acting: UUID | None = None) -> Json:
        """Change something that is at ``version``."""
        answer = await self._call("PATCH", path, acting=acting, body=body, headers={"If-Match": f'W/"{version}"'})
        return answer.json()  # type: ignore[no-any-return]  # JSON is Any

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        *,
        acting: UUID | None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        deadline = time.monotonic() + self.patience_seconds
        wait = 0.02
        while True:
            answer = await self._try(method, path, acting=acting, body=body, headers=headers or {}, query=query or {})
            if answer is not None and answer.is_success:
                return answer
            if answer is not None and not _passes(answer):
                raise Refused(method, path, answer.status_code, _code(answer))
            if time.monotonic() > deadline:
                status = answer.status_code if answer is not None else 0
                raise Refused(method, path, status, "gave-up-waiting")
            if answer is not None and answer.status_code == httpx.codes.UNAUTHORIZED:
                self._token = ""
            await asyncio.sleep(wait)
            wait = min(wait * 2, 1.0)

    async def _try(
        self,
        method: str,
        path: str,
        *,
        acting: UUID | None,
        body: Mapping[str, object] | None,
        headers: Mapping[str, str],
        query: Mapping[str, str],
    ) -> httpx.Response | None:
        """One attempt; None when nobody answered."""
        try:
            token = await self.access_token()
            named = dict(headers) | {"Authorization": f"Bearer {token}"}
            if acting is not None:
                named["Afterglow-Practitioner"] = str(acting)
            self.requests += 1
            return await self._http.request(method, path, json=body, headers=named, params=query)
        except (httpx.TransportError, TokenNotGiven):
            return None

    async def access_token(self) -> str:
        """A token that is good for some time yet. Raises TokenNotGiven."""
        if self._token and time.time() < self._token_until:
            return self._token
        url = f"{self._origin}/intake/oauth/token"
        form = token_request(self.client_id, self._key, audience=url, scopes=self._scopes)
        answer = await self._http.post("/intake/oauth/token", data=form)
        if not answer.is_success:
            raise TokenNotGiven
        given = answer.json()
        self._token = given["access_token"]
        self._token_until = time.time() + given["expires_in"] - 30
        return self._token


class TokenNotGiven(Exception):
    """The token endpoint refused or could not answer."""


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("code", "unknown"))
    except ValueError:
        return "unknown"


def _passes(answer: httpx.Response) -> bool:
    """Whether this refusal passes by itself."""
    if answer.status_code in (401, 425, 429, 502, 503, 504):
        return True
    return _code(answer) in _CODES_TO_WAIT_FOR
