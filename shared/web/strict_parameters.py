"""Numbers, ids, booleans and times in an address, read as strictly as in a body: the framework takes ``1_0``, ``+5``, ``yes`` and more."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic_core import PydanticCustomError

from shared.web import moments, strict_values

Parameters = Mapping[tuple[str, str], type]
"""Place and name of a parameter, and its type."""


class NotStrict(Exception):
    """A parameter has a type for which nobody has said how it is written."""


def parameters_of(dependant: Dependant) -> Parameters:
    """The parameters of an operation and its dependencies. Raises NotStrict, so that an operation cannot be wired with a loose one."""
    own = {("path", one.alias): one for one in dependant.path_params} | {("query", one.alias): one for one in dependant.query_params}
    found = {place: _type_of(one.field_info.annotation) for place, one in own.items()}
    for below in dependant.dependencies:
        found |= parameters_of(below)
    return found


def refuse_loose(request: Request, parameters: Parameters) -> None:
    """Raises RequestValidationError naming every parameter that is not written in the one way of its type."""
    if errors := list(_errors(request, parameters)):
        raise RequestValidationError(errors)


def _errors(request: Request, parameters: Parameters) -> Iterator[dict[str, object]]:
    for (place, name), kind in parameters.items():
        if kind is str:
            continue
        try:
            for value in _given(request, place, name):
                _FORMS[kind](value)
        except PydanticCustomError as refusal:
            yield {"type": refusal.type, "loc": (place, name), "msg": refusal.message(), "input": None}


def _given(request: Request, place: str, name: str) -> list[str]:
    if place == "query":
        return request.query_params.getlist(name)
    return [str(request.path_params[name])] if name in request.path_params else []


def repeatable_of(dependant: Dependant) -> frozenset[str]:
    """The query parameters that an operation and its dependencies declare as lists: those may be there several times."""
    own = (one.alias for one in dependant.query_params if get_origin(_plain(one.field_info.annotation)) is list)
    return frozenset(own).union(*(repeatable_of(below) for below in dependant.dependencies))


def _plain(annotation: Any) -> Any:  # Any: whatever an endpoint declares
    """What stands in ``Annotated``, and beside None."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        parts = [part for part in get_args(annotation) if part is not NoneType]
        return _plain(parts[0]) if len(parts) == 1 else annotation
    return annotation


def _type_of(annotation: Any) -> type:  # Any: whatever an endpoint declares
    """The one type below ``Annotated``, ``| None`` and ``list``; texts and choices of texts are compared as they are."""
    annotation = _plain(annotation)
    if get_origin(annotation) is list:
        return _type_of(get_args(annotation)[0])
    if get_origin(annotation) is Literal or (isinstance(annotation, type) and issubclass(annotation, str | Enum)):
        return str
    found: type | None = next((kind for kind in _FORMS if kind is annotation), None)
    if found is not None:
        return found
    raise NotStrict(f"say in strict_parameters how a {annotation} is written")


def _whole(text: str) -> None:
    if not strict_values.WHOLE.fullmatch(text):
        raise PydanticCustomError("type", "Must be a whole number in the digits 0 to 9.")


def _decimal(text: str) -> None:
    if not strict_values.DECIMAL.fullmatch(text):
        raise PydanticCustomError("type", "Must be a number in the digits 0 to 9, with a point and without an exponent.")


def _boolean(text: str) -> None:
    if not strict_values.BOOLEAN.fullmatch(text):
        raise PydanticCustomError("type", "Must be true or false.")


_FORMS: Mapping[type, Callable[[str], object]] = {
    int: _whole,
    Decimal: _decimal,
    float: _decimal,
    bool: _boolean,
    UUID: strict_values.identifier,
    date: moments.day,
    datetime: moments.moment,
}
