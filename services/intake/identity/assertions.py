"""Client assertions (RFC 7523 as narrowed by SMART Backend Services): how a machine client proves who it is."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import JWSRegistry, extract_compact

ALGORITHMS = ("ES384", "RS384")
LONGEST_SECONDS = 300
"""How far ahead an assertion may expire."""
SKEW_SECONDS = 10
"""How much the client's clock may differ from ours."""

UNPROVEN = "The client is unknown or disabled, or the signature does not verify with a registered key and ES384 or RS384."
"""One answer for all of it, so that nobody learns which clients there are."""

_ID = re.compile(r"[!-~]{1,255}")
"""What a client_id, a kid and a jti may look like."""
_FARTHEST_SECONDS = 10**11


class InvalidAssertion(Exception):
    """The assertion does not prove anything. The text is ours and says what to look at, never what was sent."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """A verified assertion: its id, to be taken once, and when it expires."""

    jti: str
    expires_at: datetime


def claimed_client(assertion: str) -> str:
    """Who the assertion says it is from, not verified yet. Raises InvalidAssertion."""
    try:
        claims = json.loads(extract_compact(assertion.encode()).payload)
    except (JoseError, ValueError, RecursionError):
        raise InvalidAssertion("The assertion is not a signed JWT.") from None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    if not isinstance(issuer, str) or not _ID.fullmatch(issuer) or claims.get("sub") != issuer:
        raise InvalidAssertion("The claims iss and sub must both be the client_id.")
    return issuer


def verified(assertion: str, jwks: Mapping[str, Any], *, client_id: str, token_url: str, now: datetime) -> Assertion:  # Any: as above
    """Check signature and claims against the client's registered keys. Raises InvalidAssertion."""
    try:
        key = _key_of(extract_compact(assertion.encode()).headers(), jwks)
        claims = jwt.decode(assertion, key, algorithms=list(ALGORITHMS), registry=JWSRegistry(algorithms=list(ALGORITHMS))).claims
    except (JoseError, ValueError, RecursionError):
        raise InvalidAssertion(UNPROVEN) from None
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise InvalidAssertion("The claims iss and sub must both be the client_id.")
    if not _names(claims.get("aud"), token_url):
        raise InvalidAssertion("The claim aud must be the token URL.")
    return Assertion(_jti(claims), _expiry(claims, now.timestamp()))


def _key_of(header: Mapping[str, Any], jwks: Mapping[str, Any]) -> Key:  # Any: as above
    """The registered key that the header names; never one that the header brings along or points to."""
    for key in jwks["keys"]:
        if key["kid"] == header.get("kid") and key.get("alg", header.get("alg")) == header.get("alg"):
            return JWKRegistry.import_key(key)
    raise InvalidAssertion(UNPROVEN)


def _names(audience: object, token_url: str) -> bool:
    return audience == token_url or (isinstance(audience, list) and token_url in audience)


def _jti(claims: Mapping[str, object]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not _ID.fullmatch(jti):
        raise InvalidAssertion("The claim jti must be a text of 1 to 255 visible ASCII characters.")
    return jti


def _expiry(claims: Mapping[str, object], now: float) -> datetime:
    expires = _seconds(claims.get("exp"))
    if expires is None or expires <= now:
        raise InvalidAssertion("The claim exp is missing or past.")
    if expires > now + LONGEST_SECONDS + SKEW_SECONDS:
        raise InvalidAssertion(f"The claim exp is more than {LONGEST_SECONDS} s ahead.")
    for name in ("nbf", "iat"):
        starts = _seconds(claims.get(name, now))
        if starts is None or starts > now + SKEW_SECONDS:
            raise InvalidAssertion(f"The claim {name} is not a time, or is in the future.")
    return datetime.fromtimestamp(expires, UTC)


def _seconds(value: object) -> float | None:
    """A NumericDate; None for anything else, NaN and the far future included."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _FARTHEST_SECONDS:
        return float(value)
    return None
