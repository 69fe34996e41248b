"""Every refusal as RFC 9457 problem+json, made in one place. Nothing that a caller sent is ever quoted."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import iter_route_contexts
from pydantic_core.core_schema import ErrorType
from starlette.exceptions import HTTPException

from shared.errors import DomainError, FieldError
from shared.web.answers import AnswerCodec, Refusal
from shared.web.fhir import FHIR
from shared.web.marks import Marks, marks_of

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "https://afterglow.care/problems/"

_BUILT_IN: frozenset[str] = frozenset(get_args(ErrorType))
_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown-field",
    "greater_than": "out-of-range",
    "greater_than_equal": "out-of-range",
    "less_than": "out-of-range",
    "less_than_equal": "out-of-range",
    "finite_number": "out-of-range",
    "multiple_of": "out-of-range",
    "decimal_max_digits": "out-of-range",
    "decimal_max_places": "out-of-range",
    "decimal_whole_digits": "out-of-range",
    "too_short": "too-short",
    "too_long": "too-long",
    "string_too_short": "too-short",
    "string_too_long": "too-long",
    "string_pattern_mismatch": "format",
    "uuid_parsing": "format",
    "uuid_type": "type",
    "enum": "not-one-of",
    "literal_error": "not-one-of",
    "union_tag_invalid": "not-one-of",
    "union_tag_not_found": "required",
    "date_parsing": "time-format",
    "date_from_datetime_parsing": "time-format",
    "datetime_parsing": "time-format",
    "datetime_from_date_parsing": "time-format",
    "timezone_aware": "time-format",
    "json_invalid": "json-malformed",
    "value_error": "not-acceptable",
    "assertion_error": "not-acceptable",
}
FORM_CODES = frozenset({*_CODES.values(), "type"} - {"not-acceptable"})
"""What only a request is refused for that breaks its description; every other code is about meaning or state."""
_DETAILS = {
    "required": "Is required.",
    "unknown-field": "This object has a member that is not known here.",
    "type": "Has another type than the API's description says.",
    "format": "Has another form than the API's description says.",
    "time-format": "Is not a time as in RFC 3339, or not a date as YYYY-MM-DD.",
    "not-acceptable": "Is not acceptable here.",
}
_FRAMEWORK_REFUSALS = {
    404: ("not-found", "There is no such resource."),
    413: ("body-too-large", "The body is too large."),
    405: ("method-not-allowed", "This address takes other methods; see Allow."),
}
_LIMITS = {
    "greater_than": "More than {gt}.",
    "greater_than_equal": "At least {ge}.",
    "less_than": "Less than {lt}.",
    "less_than_equal": "At most {le}.",
    "multiple_of": "A multiple of {multiple_of}.",
    "decimal_max_digits": "Digits: at most {max_digits}.",
    "decimal_max_places": "Digits after the decimal point: at most {decimal_places}.",
    "decimal_whole_digits": "Digits before the decimal point: at most {whole_digits}.",
    "string_too_short": "Characters: at least {min_length}.",
    "string_too_long": "Characters: at most {max_length}.",
    "too_short": "Entries: at least {min_length}.",
    "too_long": "Entries: at most {max_length}.",
    "enum": "Allowed: {expected}.",
    "literal_error": "Allowed: {expected}.",
    "union_tag_invalid": "Allowed: {expected_tags}.",
}
"""The limits that our schema sets, by pydantic's name of the error. They come from the schema and never from the caller."""


def install(app: FastAPI) -> None:
    """Make the app answer every refusal as a problem. What is nobody's refusal becomes a 500 in ``shared.web.headers``."""
    app.exception_handler(DomainError)(_on_domain_error)
    app.exception_handler(HTTPException)(_on_http_exception)


def problem(
    marks: Marks,
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[Mapping[str, object]] = (),
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, object] | None = None,
) -> Response:
    """One problem as an answer; ``instance`` names the request by its UUID."""
    body = {
        **(extra or {}),
        "type": f"{TYPE_PREFIX}{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "instance": f"urn:uuid:{marks.correlation_id}",
        "errors": list(errors),
    }
    content = json.dumps(body, default=str, ensure_ascii=False, allow_nan=False).encode()
    return Response(content, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def field_errors(raised: Sequence[Mapping[str, Any]], known_names: Collection[str]) -> list[dict[str, str]]:  # Any: pydantic's errors
    """Pydantic's errors with our codes. A name that the caller made up is left out of the pointer, so nothing is echoed."""
    return [_field_error(error, known_names) for error in raised]


def _field_error(error: Mapping[str, Any], known_names: Collection[str]) -> dict[str, str]:  # Any: as above
    place, *path = error["loc"]
    code = _code_of(error["type"])
    steps = [str(step) for step in path if isinstance(step, int) or step in known_names]
    described = {"pointer": _pointer(steps), "code": code, "detail": _detail_of(error, code)}
    return described if place == "body" else {**described, "in": str(place)}


def _code_of(error_type: str) -> str:
    if error_type not in _BUILT_IN:
        return error_type
    return _CODES.get(error_type, "type")


def _detail_of(error: Mapping[str, Any], code: str) -> str:  # Any: as above
    """An author's own words for an own code; for pydantic's codes the limits that our schema sets."""
    if error["type"] not in _BUILT_IN:
        return str(error["msg"])
    told = _LIMITS.get(error["type"])
    return told.format_map(error["ctx"]) if told else _DETAILS.get(code, _DETAILS["type"])


def _pointer(steps: Sequence[str]) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def refusal_of(error: DomainError | RequestValidationError, known_names: Collection[str]) -> Refusal:
    """What an operation refuses with, in no language yet. Of what a caller sent only ``known_names`` are repeated."""
    if isinstance(error, DomainError):
        errors = [FieldError(*one)._asdict() for one in error.errors]
        return Refusal(error.status, error.code, error.detail, errors, error.headers, error.extra)
    raised = error.errors()
    if any(one["loc"][0] == "path" for one in raised):
        return Refusal(404, *_FRAMEWORK_REFUSALS[404])
    found = field_errors(raised, known_names)
    return Refusal(422, found[0]["code"] if len(found) == 1 else "invalid", "The request can be read and is not acceptable.", found)


class Problems:
    """The language of the JSON API."""

    described: Mapping[str, Any] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}  # Any: JSON values

    def refused(self, marks: Marks, refusal: Refusal) -> Response:
        """As RFC 9457 has it."""
        return problem(
            marks,
            refusal.status,
            refusal.code,
            refusal.detail,
            errors=refusal.errors,
            headers=refusal.headers,
            extra=refusal.extra,
        )


PROBLEMS = Problems()


def _language_of(path: str) -> AnswerCodec:
    """In which language is answered where there is no operation."""
    return FHIR if path.startswith("/fhir/") else PROBLEMS


async def _on_domain_error(request: Request, error: DomainError) -> Response:
    """Of what no operation answers, such as a body that is too large for any."""
    return _language_of(request.url.path).refused(marks_of(request.scope), refusal_of(error, ()))


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    code, detail = _FRAMEWORK_REFUSALS.get(error.status_code, ("refused", "The request is refused."))
    headers = {**(error.headers or {}), **({"Allow": _allowed_methods(request)} if error.status_code == 405 else {})}
    refusal = Refusal(error.status_code, code, detail, headers=headers)
    return _language_of(request.url.path).refused(marks_of(request.scope), refusal)


def _allowed_methods(request: Request) -> str:
    """Of all operations at this address; the router itself names those of the first one only."""
    contexts = iter_route_contexts(request.app.routes)
    return ", ".join(sorted({method for one in contexts if one.path_regex.match(request.url.path) for method in one.methods or ()}))
