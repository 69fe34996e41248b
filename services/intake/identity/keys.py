"""What keys a client may be registered with: read by schema, member by member, whoever registers it."""

import base64
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry
from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from shared.web.schemas import Body

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192

ALGORITHM_OF = {"EC": "ES384", "RSA": "RS384"}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MEMBERS_OF = {"EC": frozenset({"kty", "kid", "alg", "use", "crv", "x", "y"}), "RSA": frozenset({"kty", "kid", "alg", "use", "n", "e"})}

Code = Annotated[str, Field(max_length=16, pattern="^[A-Za-z0-9-]+$")]
Number = Annotated[str, Field(max_length=1366, pattern="^[A-Za-z0-9_-]+$")]
"""Base64url, as long as the longest RSA modulus that is taken."""


class InvalidKeys(Exception):
    """A client cannot be registered with these keys. ``code`` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class PublicKey(Body):
    """A JSON Web Key (RFC 7517). Members that are not named here are not needed and not kept, as its section 4 says."""

    model_config = ConfigDict(extra="ignore")

    kty: Code
    kid: Annotated[str, Field(max_length=255, pattern="^[!-~]+$")]
    alg: Code | None = None
    use: Code | None = None
    crv: Code | None = None
    x: Number | None = None
    y: Number | None = None
    n: Number | None = None
    e: Number | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_secrets(cls, value: Any) -> Any:  # Any: whatever came in the JSON
        """Before anything is looked at, so that whoever sent a private key learns that it is spent."""
        if isinstance(value, Mapping) and _PRIVATE_MEMBERS & value.keys():
            raise PydanticCustomError(
                "private-key-sent", "The set holds private or symmetric keys: make new ones and send the public halves only."
            )
        return value


class KeySet(Body):
    """JSON Web Key Set (RFC 7517) with the public keys, EC P-384 or RSA."""

    model_config = ConfigDict(extra="ignore")

    keys: Annotated[list[PublicKey], Field(min_length=1, max_length=10)]


def checked_keys(keys: KeySet) -> dict[str, Any]:  # Any: a JSON Web Key Set is JSON
    """The members that are needed of keys that are each EC P-384 or RSA of at least 2048 bits, with a ``kid`` of its own.

    Raises InvalidKeys.
    """
    public = [_usable(key.model_dump(exclude_none=True)) for key in keys.keys]
    _refuse_same_names(key["kid"] for key in public)
    return {"keys": public}


def _refuse_same_names(kids: Iterable[str]) -> None:
    names = list(kids)
    if len(set(names)) != len(names):
        raise InvalidKeys("kid-not-unique", "Every key needs a kid of its own.")


def _usable(key: dict[str, str]) -> dict[str, str]:
    if key.get("use", "sig") != "sig" or key.get("alg", "ES384") not in ALGORITHM_OF.values():
        raise InvalidKeys("key-not-for-signing", "Keys must be for signing with ES384 or RS384.")
    wanted = ALGORITHM_OF.get(key["kty"])
    if wanted is None or key.get("alg", wanted) != wanted or (wanted == "ES384" and key.get("crv") != "P-384"):
        raise InvalidKeys("key-type-not-allowed", "Keys must be EC P-384 or RSA.")
    needed = {name: value for name, value in key.items() if name in _MEMBERS_OF[key["kty"]]}
    try:
        if wanted == "RS384" and not MIN_RSA_BITS <= _modulus_bits(needed) <= MAX_RSA_BITS:
            raise InvalidKeys("key-size-not-allowed", f"RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits.")
        JWKRegistry.import_key(dict(needed)).as_dict(private=False)
    except (JoseError, ValueError, TypeError, KeyError, OverflowError):
        raise InvalidKeys("key-malformed", "A key cannot be read.") from None
    return needed


def _modulus_bits(key: Mapping[str, str]) -> int:
    """Counted before the key is read, which for a key of a million bits would take its time."""
    modulus = key["n"]
    return int.from_bytes(base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4)), "big").bit_length()
