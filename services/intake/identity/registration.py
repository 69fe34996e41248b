"""What a client is registered with, whoever registers it: an operator by the API, or an installation by its settings."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from services.intake.identity.keys import InvalidKeys, KeySet, checked_keys
from services.intake.identity.rules import ClientKind, expanded, known
from services.intake.refusals import refused
from shared.errors import DomainError, FieldError


def _by_schema(keys: object) -> object:
    """The members of a key set that are needed, as JSON. Raises pydantic's ValidationError for anything else."""
    given = keys if isinstance(keys, KeySet) else KeySet.model_validate(keys)
    return given.model_dump(exclude_none=True)


ClientId = Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]


class Registration(BaseModel):
    """A client to be. ``clinic_id`` belongs to clinic systems and to no other kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: ClientId
    kind: ClientKind
    clinic_id: UUID | None = None
    name: str = ""
    jwks: Annotated[dict[str, Any], BeforeValidator(_by_schema)]  # Any: a JSON Web Key Set is JSON
    scopes: list[str]
    may_act_for_practitioners: bool = False


def built_in(document: str, left_out: Callable[[str, int], object] | None = None) -> list[Registration]:
    """The clients that exist before anybody can register one, from a JSON list. Raises ValueError for anything else.

    Scopes that this release does not know are left out, and ``left_out`` is told of whom and how many: a newer release's list is there
    already while replicas of both serve.
    """
    registrations = TypeAdapter(list[Registration]).validate_json(document)
    if any(one.kind is ClientKind.CLINIC_SYSTEM for one in registrations):
        raise ValueError("clinic systems are registered by an operator")
    for one in registrations:
        if left_out is not None and (foreign := _foreign(one)):
            left_out(one.client_id, len(foreign))
    try:
        return [checked(_of_this_release(one)) for one in registrations]
    except DomainError as refusal:
        raise ValueError(refusal.code) from None


def _foreign(registration: Registration) -> set[str]:
    return set(expanded(registration.scopes)) - known(registration.kind)


def _of_this_release(registration: Registration) -> Registration:
    foreign = _foreign(registration)
    return registration.model_copy(update={"scopes": [one for one in expanded(registration.scopes) if one not in foreign]})


def checked(registration: Registration) -> Registration:
    """The registration with its public keys only and its scopes one by one. Raises Invalid (422)."""
    try:
        jwks = checked_keys(KeySet.model_validate(registration.jwks))
    except InvalidKeys as invalid:
        raise refused(FieldError("/jwks", invalid.code, invalid.detail)) from None
    scopes = expanded(registration.scopes)
    if not scopes or not known(registration.kind).issuperset(scopes):
        raise refused(FieldError("/scopes", "scope-not-allowed", f"A client of kind {registration.kind} cannot have one of these."))
    return registration.model_copy(update={"jwks": jwks, "scopes": scopes})
