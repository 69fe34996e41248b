"""Bases of bodies and answers. A body is strict by default, whatever its author wrote: see ``shared.web.strict_types``."""

from typing import Any, Generic, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from shared.web.moments import Moment
from shared.web.strict_json import Document
from shared.web.strict_types import hardened, hardened_json_schema, plain_numbers, readable
from shared.web.text import Text

T = TypeVar("T")

__all__ = ["Answer", "Body", "Listing", "Moment", "Text"]


class Body(BaseModel):
    """What a caller sends: frozen, no unknown members, no conversion of types.

    Beyond pydantic's strict mode: a ``Decimal`` must come as a number, a ``datetime`` as in ``Moment``, a ``date`` as YYYY-MM-DD,
    an ``int`` without limits must fit 32 bits, and a plain ``str`` must hold no control or direction characters (give texts a
    length with ``Text``).
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # Any: as declared by pydantic
        members = dict(hardened(handler(source)))
        name = members.pop("ref", None)  # models that refer to this one must find the outer schema under its name
        inner = cast(CoreSchema, members)
        parsed = core_schema.no_info_wrap_validator_function(cls._from_text, inner)
        return core_schema.json_or_python_schema(json_schema=inner, python_schema=parsed, ref=name)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(schema)
        hardened_json_schema(handler.resolve_ref_schema(described))
        return described

    @classmethod
    def _from_text(cls, value: object, inner: core_schema.ValidatorFunctionWrapHandler) -> Self:
        """A parsed request is validated from its text: strictness has the meaning of JSON there, so an id may be a string."""
        if isinstance(value, Document):
            return cls.model_validate_json(value.text)
        if not isinstance(value, dict | cls):  # FastAPI would read the members from whatever object has attributes: a Decimal is one
            raise PydanticCustomError("type", "Must be an object.")
        validated: Self = inner(value)
        return validated


class Answer(BaseModel):
    """What a caller gets: times in UTC with ``Z``, decimals as JSON numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # Any: as declared by pydantic
        return readable(handler(source))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(schema)
        plain_numbers(handler.resolve_ref_schema(described))
        return described


class Listing(Answer, Generic[T]):
    """One page of a list; ``next`` is the address of the following one, null on the last."""

    items: list[T]
    next: str | None = None
