"""Followup's own access token, asked of intake as any machine client does (SMART Backend Services)."""

import asyncio
import time

import httpx
from joserfc.jwk import ECKey

from shared.errors import Unavailable
from shared.security.assertions import token_request

_RENEW_BEFORE_SECONDS = 60


class ServiceToken:
    """A token that is kept until shortly before it expires. Tokens live in real time."""

    def __init__(
        self, http: httpx.AsyncClient, *, token_url: str, audience: str, client_id: str, key: ECKey, scopes: tuple[str, ...]
    ) -> None:
        """``token_url`` is where intake is reached, ``audience`` the public address of the same endpoint, which assertions name."""
        self._http = http
        self._token_url = token_url
        self._audience = audience
        self._client_id = client_id
        self._key = key
        self._scopes = scopes
        self._token = ""
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def headers(self) -> dict[str, str]:
        """The header that authenticates a call. Raises Unavailable when intake gives no token."""
        async with self._asking:
            if time.time() > self._until:
                await self._ask()
        return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> None:
        """The token was refused: ask for a new one next time."""
        self._until = 0.0

    async def _ask(self) -> None:
        now = int(time.time())
        form = token_request(self._client_id, self._key, audience=self._audience, scopes=self._scopes)
        try:
            answer = await self._http.post(self._token_url, data=form)
            answer.raise_for_status()
            given = answer.json()
            self._token, self._until = str(given["access_token"]), now + int(given["expires_in"]) - _RENEW_BEFORE_SECONDS
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise Unavailable("No access token could be had.") from error
