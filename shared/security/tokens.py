"""Access tokens: ES256 JWTs by intake, verified here and nowhere else. A verified token is remembered until it expires."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import extract_compact

from shared.errors import Unauthorized, Unavailable
from shared.security.caller import KINDS, Caller

ALGORITHM = "ES256"
LEEWAY_SECONDS = 5
"""How far the clocks of issuer and verifier may differ; readiness fails beyond 2 s."""
MAX_TOKEN_CHARS = 4096
_REMEMBERED = 10_000
_FETCH_SECONDS = 3.0
_REFRESH_SECONDS = 300.0
_RETRY_SECONDS = 10.0


class TokenRefused(Unauthorized):
    """The token is not accepted. ``caller`` is who signed it, where the signature was right and only the claims were not."""

    def __init__(self, code: str, detail: str, caller: Caller | None = None) -> None:
        super().__init__(code, detail)
        self.caller = caller


class JwksSource(Protocol):
    """Where the issuer's public keys come from."""

    async def key(self, kid: str) -> ECKey | None:
        """The key of this id, None when the issuer has none. Raises Unavailable when no key was ever obtained."""


class StaticJwks:
    """Keys that are known at the start: intake's own, or those of the one process in embedded mode."""

    def __init__(self, jwks: Mapping[str, Any]) -> None:  # Any: a JSON Web Key Set as in RFC 7517
        self._keys = _keys_of(jwks)

    async def key(self, kid: str) -> ECKey | None:
        return self._keys.get(kid)


class HttpJwks:
    """Keys fetched from the issuer, asked again every 5 minutes and, at most every 10 s, for an unknown key id.

    When the issuer is away the last good set stays in use.
    """

    def __init__(self, url: str, client: httpx.AsyncClient | None = None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._now = now
        self._client = client or httpx.AsyncClient(timeout=_FETCH_SECONDS, follow_redirects=False, trust_env=False)
        self._keys: dict[str, ECKey] = {}
        self._good_at = self._tried_at = float("-inf")
        self._asking = asyncio.Lock()

    async def key(self, kid: str) -> ECKey | None:
        if (kid not in self._keys or self._is_older_than(_REFRESH_SECONDS)) and not (kid in self._keys and self._asking.locked()):
            await self._ask(kid)
        if not self._keys:
            raise Unavailable("The keys of the token issuer cannot be had.")
        return self._keys.get(kid)

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    def _is_older_than(self, seconds: float) -> bool:
        return self._now() - self._good_at > seconds

    async def _ask(self, kid: str) -> None:
        async with self._asking:
            just_tried = self._now() - self._tried_at < _RETRY_SECONDS
            if just_tried or (kid in self._keys and not self._is_older_than(_REFRESH_SECONDS)):
                return
            self._tried_at = self._now()
            try:
                answer = await self._client.get(self._url, headers={"Accept": "application/json"})
                self._keys = _keys_of(answer.raise_for_status().json())
            except (httpx.HTTPError, ValueError):
                return
            self._good_at = self._now()


@dataclass(frozen=True, slots=True)
class _Remembered:
    caller: Caller
    expires_at: float


class TokenVerifier:
    """Turns a bearer token into a Caller. ``audience`` is this service's name, ``issuer`` the one that intake signs with."""

    def __init__(self, jwks: JwksSource, *, audience: str, issuer: str, now: Callable[[], float] = time.time) -> None:
        self._jwks = jwks
        self._now = now
        self._audience = audience
        self._issuer = issuer
        self._remembered: dict[bytes, _Remembered] = {}

    async def caller(self, authorization: str | None) -> Caller:
        """The caller behind an ``Authorization`` header. Raises Unauthorized (401), or Unavailable (503) without any key."""
        token = _bearer(authorization)
        digest = hashlib.sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known is not None and self._now() < known.expires_at + LEEWAY_SECONDS:
            return known.caller
        claims = await self._claims(token)
        caller = _caller_of(claims)
        self._check(claims, caller)
        self._remember(digest, _Remembered(caller, float(claims["exp"])))
        return caller

    async def _claims(self, token: str) -> dict[str, Any]:  # Any: JSON values
        key = await self._jwks.key(_kid_of(token))
        if key is None:
            raise _invalid()
        try:
            return jwt.decode(token, key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError):
            raise _invalid() from None

    def _check(self, claims: Mapping[str, Any], caller: Caller) -> None:  # Any: as above
        now = self._now()
        times = [claims.get(name) for name in ("iat", "nbf", "exp")]
        if not all(isinstance(at, int | float) and not isinstance(at, bool) for at in times) or not isinstance(claims.get("jti"), str):
            raise TokenRefused("token-invalid", "The token is not valid.", caller)
        audience = claims.get("aud")
        if claims.get("iss") != self._issuer or self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise TokenRefused("token-invalid", "The token was not issued for this service.", caller)
        if now >= claims["exp"] + LEEWAY_SECONDS:
            raise TokenRefused("token-expired", "The token has expired.", caller)
        if now < max(claims["nbf"], claims["iat"]) - LEEWAY_SECONDS:
            raise TokenRefused("token-invalid", "The token is not valid yet.", caller)

    def _remember(self, digest: bytes, verified: _Remembered) -> None:
        if len(self._remembered) >= _REMEMBERED:
            now = self._now()
            self._remembered = {key: value for key, value in self._remembered.items() if value.expires_at > now}
        if len(self._remembered) < _REMEMBERED:
            self._remembered[digest] = verified


def _invalid() -> TokenRefused:
    return TokenRefused("token-invalid", "The token is not valid.")


def _bearer(authorization: str | None) -> str:
    if authorization is None:
        raise TokenRefused("token-required", "Send an access token in the Authorization header.")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token or not token.isascii() or len(token) > MAX_TOKEN_CHARS:
        raise _invalid()
    return token


def _kid_of(token: str) -> str:
    try:
        header = extract_compact(token.encode()).headers()
    except (JoseError, ValueError):
        raise _invalid() from None
    kid = header.get("kid")
    if header.get("alg") != ALGORITHM or not isinstance(kid, str):
        raise _invalid()
    return kid


def _caller_of(claims: Mapping[str, Any]) -> Caller:  # Any: as above
    client_id, kind, scope, clinic = (claims.get(name) for name in ("sub", "kind", "scope", "clinic_id"))
    if not isinstance(client_id, str) or not client_id or kind not in KINDS or not isinstance(scope, str):
        raise _invalid()
    if (clinic is not None) != (kind == "clinic-system"):
        raise _invalid()
    try:
        clinic_id = UUID(clinic) if clinic is not None else None
    except (ValueError, TypeError, AttributeError):
        raise _invalid() from None
    return Caller(client_id=client_id, kind=kind, clinic_id=clinic_id, scopes=frozenset(scope.split()))


def _keys_of(jwks: object) -> dict[str, ECKey]:
    """The usable keys of a key set. Raises ValueError when there are none; a key that we cannot read spoils no other."""
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    keys = [_key_of(key) for key in listed] if isinstance(listed, list) else []
    usable = {key.kid: key for key in keys if key is not None and key.kid}
    if not usable:
        raise ValueError("the key set holds no usable key")
    return usable


def _key_of(described: object) -> ECKey | None:
    if not isinstance(described, Mapping) or described.get("kty") != "EC" or described.get("crv") != "P-256":
        return None
    try:
        return ECKey.import_key(dict(described))
    except (JoseError, ValueError, KeyError, TypeError):
        return None
