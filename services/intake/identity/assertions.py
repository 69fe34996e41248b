"""Client assertions (RFC 7523 as narrowed by SMART Backend Services): how a machine client proves who it is."""

import base64
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
MIN_RSA_BITS = 2048

UNPROVEN = "The client is unknown or disabled, or the signature does not verify with a registered key and ES384 or RS384."
"""One answer for all of it, so that nobody learns which clients there are."""

MAX_RSA_BITS = 8192

_ID = re.compile(r"[!-~]{1,255}")
"""What a client_id, a kid and a jti may look like."""
_FARTHEST_SECONDS = 10**11
_PUBLIC_MEMBERS = frozenset({"kty", "kid", "alg", "use", "crv", "x", "y", "n", "e"})
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class InvalidAssertion(Exception):
    """The assertion does not prove anything. The text is ours and says what to look at, never what was sent."""


class InvalidKeys(Exception):
    """A client cannot be registered with these keys. ``code`` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Assertion:
    """A verified assertion: its id, to be taken once, and when it expires."""

    jti: str
    expires_at: datetime


def checked_keys(jwks: Mapping[str, Any]) -> dict[str, Any]:  # Any: a JSON Web Key Set is JSON
    """The public members of a key set of 1 to 10 keys, each EC P-384 or RSA of at least 2048 bits with its own ``kid``.

    Raises InvalidKeys; private key material is refused before anything is stored.
    """
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= 10 or not all(isinstance(key, dict) for key in keys):
        raise InvalidKeys("jwks-malformed", "Send a JSON Web Key Set with 1 to 10 keys.")
    if any(_PRIVATE_MEMBERS & set(key) for key in keys):
        raise InvalidKeys("private-key-sent", "The set holds private or symmetric keys: make new ones and send the public halves only.")
    public = [{name: value for name, value in key.items() if name in _PUBLIC_MEMBERS} for key in keys]
    for key in public:
        _require_usable(key)
    if len({key["kid"] for key in public}) != len(public):
        raise InvalidKeys("kid-not-unique", "Every key needs a kid of its own.")
    return {"keys": public}


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


def _require_usable(key: Mapping[str, Any]) -> None:  # Any: as above
    if not isinstance(key.get("kid"), str) or not _ID.fullmatch(key["kid"]):
        raise InvalidKeys("kid-required", "Every key needs a kid of 1 to 255 visible ASCII characters.")
    if key.get("use", "sig") != "sig" or key.get("alg", "ES384") not in ALGORITHMS:
        raise InvalidKeys("key-not-for-signing", "Keys must be for signing with ES384 or RS384.")
    wanted = {"EC": "ES384", "RSA": "RS384"}.get(str(key.get("kty")))
    if wanted is None or key.get("alg", wanted) != wanted or (wanted == "ES384" and key.get("crv") != "P-384"):
        raise InvalidKeys("key-type-not-allowed", "Keys must be EC P-384 or RSA.")
    try:
        if wanted == "RS384" and not MIN_RSA_BITS <= _modulus_bits(key) <= MAX_RSA_BITS:
            raise InvalidKeys("key-size-not-allowed", f"RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits.")
        JWKRegistry.import_key(dict(key))
    except (JoseError, ValueError, TypeError, KeyError):
        raise InvalidKeys("key-malformed", "A key cannot be read.") from None


def _modulus_bits(key: Mapping[str, Any]) -> int:  # Any: as above
    """Counted before the key is read, which for a key of a million bits would take its time."""
    modulus = str(key["n"])
    return int.from_bytes(base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4)), "big").bit_length()
