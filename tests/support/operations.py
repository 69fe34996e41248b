"""Every operation of the running product as its route tables say, with tokens for it and bodies that have its form."""

import hmac
import json
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

from services import secrets
from shared.security.access import Access, census
from tests.support.house import House

Json = dict[str, Any]  # Any: JSON values


@dataclass(frozen=True)
class Op:
    """One operation."""

    service: str
    method: str
    path: str
    access: Access
    described: Json
    """Its part of the service's own description; empty for pages."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def operations(house: House) -> list[Op]:
    """All of them, whoever may call them."""
    found = []
    for service, app in house.apps.items():
        document = app.openapi()
        for name, access in census(app, also=[str(app.openapi_url)]).items():
            method, path = name.split(" ")
            found.append(Op(service, method, path, access, document["paths"].get(path, {}).get(method.lower(), {})))
    return found


PLACE = re.compile(r"\{(\w+)\}")


def known_ids(op: Op, ids: Mapping[str, Sequence[str]], name: str) -> Sequence[str]:
    """What there is by this name; each service has documents of its own, by their codes."""
    return ids.get(f"{op.service}.{name}", ids.get(name, ()))


def address_of(op: Op, ids: Mapping[str, Sequence[str]]) -> str:
    """Its path with the first id by each name, or with one that there is not."""
    return PLACE.sub(lambda place: next(iter(known_ids(op, ids, place[1])), str(uuid4())), op.path)


def code_of(answer: httpx.Response) -> str:
    """The code of a refusal: of a problem, or of an OperationOutcome."""
    said = answer.json()
    return str(said["code"] if "code" in said else said["issue"][0]["details"]["coding"][0]["code"])


def body_of(house: House, op: Op) -> Json | None:
    """A body with every required member, of the form that the description asks for; None where there is none."""
    content = op.described.get("requestBody", {}).get("content", {})
    if not content:
        return None
    sample: Json = _sample(content["application/json"]["schema"], house.apps[op.service].openapi(), house.clock.now().isoformat())
    return sample


def _sample(schema: Json, document: Json, moment: str) -> Any:  # Any: a JSON value
    said = [schema[name] for name in ("const", "default") if name in schema] + schema.get("examples", []) + schema.get("enum", [])
    if said:
        return said[0]
    if "$ref" in schema or "anyOf" in schema:
        inner = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema["anyOf"][0]
        return _sample(inner, document, moment)
    if schema["type"] == "object":
        members = schema.get("properties", {})
        return {name: _sample(members[name], document, moment) for name in schema.get("required", ())}
    if schema["type"] == "array":
        return [_sample(schema["items"], document, moment)]
    texts = {**_TEXTS, "date-time": moment}
    return {"string": texts.get(schema.get("format", ""), "x"), "boolean": True}.get(schema["type"], max(schema.get("minimum", 0), 1))


_TEXTS = {"uuid": str(uuid4()), "date": "1984-06-19"}


class Issuer:
    """Signs tokens with the key of the running product, as only it could; and some that it would never sign."""

    def __init__(self, house: House) -> None:
        self._key = ECKey.import_key(json.loads(secrets.read(house.folder / "secrets", "intake-signing-keys.json"))["keys"][0])
        self._issuer = f"{house.origin}/intake"

    def claims(self, op: Op, client_id: str, clinic_id: str) -> Json:
        """What a token that may call this operation says."""
        now = int(time.time())
        clinic = {"clinic_id": clinic_id} if op.access.kind == "clinic-system" else {}
        said = {"iss": self._issuer, "sub": client_id, "aud": [op.service], "iat": now, "nbf": now, "exp": now + 300, "jti": str(uuid4())}
        return {**said, **clinic, "kind": op.access.kind, "scope": op.access.scope}

    def signed(self, claims: Mapping[str, object]) -> str:
        return jwt.encode({"alg": "ES256", "kid": self._key.kid}, dict(claims), self._key, algorithms=["ES256"])

    def bad(self, claims: Json, disabled_client: str) -> dict[str, str | None]:
        """The Authorization headers that open nothing, by what is wrong with each."""
        now = int(time.time())
        return {
            "none": None,
            "empty": "",
            "garbage": "Bearer garbage",
            "alg-none": f"Bearer {self._unsigned('none', claims)}.",
            "hs256-with-public-key": f"Bearer {self._by_public_key(claims)}",
            "expired": f"Bearer {self.signed({**claims, 'iat': now - 600, 'nbf': now - 600, 'exp': now - 120})}",
            "not-yet": f"Bearer {self.signed({**claims, 'nbf': now + 3600})}",
            "other-audience": f"Bearer {self.signed({**claims, 'aud': ['elsewhere']})}",
            "disabled-client": f"Bearer {self.signed({**claims, 'sub': disabled_client})}",
        }

    def _unsigned(self, algorithm: str, claims: Json) -> str:
        return ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": algorithm, "kid": self._key.kid}, claims))

    def _by_public_key(self, claims: Json) -> str:
        content = self._unsigned("HS256", claims)
        return f"{content}.{_encoded(hmac.digest(self._key.as_pem(private=False), content.encode(), 'sha256'))}"


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
