from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from services.intake.fields import Name, absent
from shared.events.intake import Role
from shared.web.schemas import Answer, Body


def _each_once(roles: list[Role]) -> list[Role]:
    if len(set(roles)) != len(roles):
        raise PydanticCustomError("not-unique", "Name each role once.")
    return sorted(roles)


Roles = Annotated[list[Role], Field(max_length=len(Role), json_schema_extra={"uniqueItems": True}), AfterValidator(_each_once)]


class RegisterPractitioner(Body):
    """A given name, a family name or both."""

    given_name: Name | None = None
    family_name: Name | None = None
    roles: Roles


class ChangePractitioner(Body):
    """Only what is sent is changed; ``roles`` replaces all roles, ``active: false`` takes every right at once."""

    given_name: Name | None = None
    family_name: Name | None = None
    roles: Roles = absent()
    active: bool = absent()


class PractitionerOut(Answer):
    practitioner_id: UUID
    given_name: str | None
    family_name: str | None
    roles: list[Role]
    active: bool
    version: int
    registered_at: datetime
