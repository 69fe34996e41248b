"""The form with which a machine client asks intake for a token: an assertion signed with its own key (SMART Backend Services)."""

import time
from collections.abc import Collection
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey

_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SECONDS = 240
"""Intake takes none that lives longer than five minutes; clocks differ."""


def token_request(client_id: str, key: ECKey, *, audience: str, scopes: Collection[str]) -> dict[str, str]:
    """What is posted to the token endpoint, once; ``audience`` is the public address of that endpoint. Assertions live in real time."""
    now = int(time.time())
    claims = {"iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + _SECONDS, "jti": str(uuid4())}
    header = {"alg": "ES384", "kid": key.kid, "typ": "JWT"}
    return {
        "grant_type": "client_credentials",
        "scope": " ".join(scopes),
        "client_assertion_type": _TYPE,
        "client_assertion": jwt.encode(header, claims, key, algorithms=["ES384"]),
    }
