from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from services.intake.fields import Name
from services.intake.identity.keys import KeySet
from services.intake.identity.rules import ASSERTION_TYPE, LIFETIME_SECONDS, TOKEN_ERRORS, ClientKind
from shared.web.schemas import Answer, Body

Scope = Annotated[str, Field(min_length=3, max_length=80, pattern=r"^[a-z]+/[A-Za-z]+\.[a-z]+$", examples=["system/Patient.cru"])]


class RegisterClient(Body):
    """A clinic's own system. No other ``kind`` can be registered here: those come with the installation."""

    clinic_id: UUID
    kind: Literal[ClientKind.CLINIC_SYSTEM] = ClientKind.CLINIC_SYSTEM
    name: Name
    jwks: KeySet
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=100)]
    may_act_for_practitioners: bool = False


class NoMembers(Body):
    """An empty object."""


class ClientOut(Answer):
    client_id: str
    kind: ClientKind
    clinic_id: UUID | None
    name: str
    jwks: dict[str, Any]
    scopes: list[str]
    may_act_for_practitioners: bool
    active: bool
    version: int
    registered_at: datetime
    registered_by: str
    disabled_at: datetime | None
    disabled_by: str | None


_TEXT = {"type": "string"}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _described(**properties: object) -> dict[str, Any]:  # Any: JSON Schema
    return {"schema": {"type": "object", "required": list(properties), "properties": properties}}


TOKEN_REQUEST: dict[str, Any] = {  # Any: OpenAPI
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": _described(
                grant_type={"const": "client_credentials"},
                scope={**_TEXT, "examples": ["system/Patient.cru system/Consent.c"]},
                client_assertion_type={"const": ASSERTION_TYPE},
                client_assertion={**_TEXT, "description": "A JWT signed with ES384 or RS384, valid for at most 5 minutes."},
            )
        },
    }
}
"""The form of a token request, which is not a JSON body."""

TOKEN_RESPONSES: dict[int | str, dict[str, Any]] = {  # Any: OpenAPI
    200: {
        "description": "An access token.",
        "content": {
            "application/json": _described(
                access_token=_TEXT, token_type={"const": "bearer"}, expires_in={"const": LIFETIME_SECONDS}, scope=_TEXT
            )
        },
    },
    400: {
        "description": "Refused as RFC 6749 section 5.2 says.",
        "content": {"application/json": _described(error={"enum": list(TOKEN_ERRORS)}, error_description=_TEXT)},
    },
    429: {
        "description": "Wrong assertions come too often; Retry-After says when one is answered again. A good one is taken at any time.",
        "content": {"application/json": _described(error={"enum": list(TOKEN_ERRORS)}, error_description=_TEXT)},
    },
    408: {"description": "The body did not arrive in time.", "content": _PROBLEM},
    413: {"description": "The body has more than 64 KiB.", "content": _PROBLEM},
    503: {"description": "A part of the system cannot be reached.", "content": _PROBLEM},
}
"""What the token endpoint answers."""
