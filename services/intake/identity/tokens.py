"""Access tokens: short-lived ES256 JWTs that every service verifies by itself with the published keys."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from services.intake.identity.models import RegisteredClient
from services.intake.identity.rules import LIFETIME_SECONDS, audience

ALGORITHM = "ES256"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token as it is handed out."""

    token: str
    scope: str
    expires_in: int = LIFETIME_SECONDS


class SigningKeys:
    """The private keys of the token endpoint: the first signs, all are published, so that a key can be added before it is used."""

    def __init__(self, private_jwks: str) -> None:
        """Read a JSON Web Key Set of private P-256 keys. Raises ValueError, without the text, when it is something else."""
        try:
            keys = [ECKey.import_key(key) for key in json.loads(private_jwks)["keys"]]
        except (JoseError, ValueError, KeyError, TypeError):
            raise ValueError("the signing keys are not a JSON Web Key Set") from None
        if not keys or not all(key.is_private and key.curve_name == "P-256" for key in keys):
            raise ValueError("the signing keys must be private keys on P-256, at least one")
        self._keys = KeySet(list(keys))
        self.active = keys[0]

    @classmethod
    def generate(cls) -> str:
        """A fresh private key set, to be kept as a secret."""
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, private=True, auto_kid=True)
        return json.dumps(KeySet([key]).as_dict(private=True))

    def public(self) -> dict[str, Any]:  # Any: a JSON Web Key Set is JSON
        """The set as it is published."""
        return {"keys": [{**key.as_dict(private=False), "use": "sig", "alg": ALGORITHM} for key in self._keys]}


class TokenIssuer:
    """Signs access tokens in the name of ``issuer``. Real time: a token's life has nothing to do with the business clock."""

    def __init__(self, keys: SigningKeys, *, issuer: str) -> None:
        self.keys = keys
        self.issuer = issuer

    @property
    def token_url(self) -> str:
        """Where assertions are exchanged, and what they must name as their audience."""
        return f"{self.issuer}/oauth/token"

    def issue(self, client: RegisteredClient, scopes: Sequence[str]) -> AccessToken:
        """A token for these scopes, valid for five minutes and only at the services that they are for."""
        now = int(time.time())
        claims: dict[str, Any] = {  # Any: JSON
            "iss": self.issuer,
            "sub": client.client_id,
            "aud": audience(client.kind, scopes),
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": str(uuid4()),
            "kind": client.kind.value,
            "scope": " ".join(scopes),
        }
        if client.clinic_id is not None:
            claims["clinic_id"] = str(client.clinic_id)
        header = {"alg": ALGORITHM, "kid": self.keys.active.kid, "typ": "at+jwt"}
        return AccessToken(jwt.encode(header, claims, self.keys.active, algorithms=[ALGORITHM]), " ".join(scopes))
