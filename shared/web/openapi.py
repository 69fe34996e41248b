"""What the API's description says of every operation beyond its models: access, headers and refusals."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import TypeAdapter

from shared.security.caller import KINDS
from shared.web.fhir import FHIR, OPERATION_OUTCOME
from shared.web.idempotency import KEY_FORM
from shared.web.strict_types import describe_texts

if TYPE_CHECKING:
    from shared.web.operation import Operation

IfMatch = Literal["required", "optional", "none"]
"""Whether an operation needs, takes or ignores the version that the caller has seen."""
_SCHEME = "clientCredentials"
_UUID = {"type": "string", "format": "uuid"}
_WHY = {
    400: "The request cannot be read, or a header is missing.",
    401: "No valid access token.",
    403: "The token, the client or the practitioner does not allow this.",
    404: "There is no such resource in this clinic.",
    408: "The body did not arrive in time.",
    409: "The state does not allow this, or the first request with this key has not ended.",
    412: "The version named by If-Match is not the current one.",
    413: "The body has more than 64 KiB.",
    414: "The address has more than 4096 bytes.",
    415: "The body is not application/json, or is compressed.",
    422: "The request can be read and is not acceptable.",
    428: "If-Match is missing.",
    503: "A part of the system cannot be reached; nothing was changed.",
}

PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; nothing that was sent is repeated.",
    "required": ["type", "title", "status", "detail", "code", "instance", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "instance": {"type": "string", "description": "The request, as urn:uuid."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901, into the body or into what `in` names."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                    "in": {"type": "string", "enum": ["query", "header", "cookie"]},
                },
            },
        },
    },
}


def describe(route: "Operation") -> None:
    """Complete an operation's description."""
    extra: dict[str, Any] = {"x-access": route.access.described()}  # Any: JSON values
    if route.access.kind in KINDS:
        extra["security"] = [{_SCHEME: [route.access.scope]}]
        extra["parameters"] = _header_parameters(route)
    route.responses = {**_refusals(route), **route.responses}
    route.openapi_extra = {**extra, **(route.openapi_extra or {})}


def query_names(dependant: Dependant) -> frozenset[str]:
    """Every query parameter that an operation and its dependencies take."""
    below = (query_names(one) for one in dependant.dependencies)
    return frozenset(field.alias for field in dependant.query_params).union(*below)


def property_names(route: APIRoute) -> frozenset[str]:
    """Every member name in the description of an operation's body: the only names that an error may repeat."""
    if route.body_field is None:
        return frozenset()
    model: Any = route.body_field.field_info.annotation  # Any: whatever the endpoint declares
    found: set[str] = set()
    pending: list[object] = [TypeAdapter(model).json_schema()]
    while pending:
        node = pending.pop()
        if isinstance(node, Mapping):
            found |= set(node.get("properties", ()))
            pending += node.values()
        elif isinstance(node, list):
            pending += node
    return frozenset(found)


def install(app: FastAPI, *, token_url: str) -> None:
    """Let the app describe itself, with the parts that all operations share."""

    def openapi() -> dict[str, Any]:  # Any: JSON values
        if app.openapi_schema is None:
            described = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            components = described.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            schemas["Problem"] = PROBLEM
            if any(getattr(context.original_route, "answer_codec", None) is FHIR for context in iter_route_contexts(app.routes)):
                schemas["OperationOutcome"] = OPERATION_OUTCOME
            _describe_texts(described)
            components["securitySchemes"] = {_SCHEME: _scheme(described, token_url)}
            app.openapi_schema = described
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI documents this way of extending the description


def _describe_texts(described: dict[str, Any]) -> None:  # Any: JSON values
    """Texts in the query follow the same rule as those in bodies."""
    for path in described.get("paths", {}).values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    describe_texts(parameter["schema"])


def _scheme(described: dict[str, Any], token_url: str) -> dict[str, Any]:  # Any: JSON values
    operations = [operation for path in described.get("paths", {}).values() for operation in path.values()]
    scopes = sorted({scope for operation in operations for held in operation.get("security", ()) for scope in held[_SCHEME]})
    flow = {"tokenUrl": token_url, "scopes": {scope: f"Grants {scope}" for scope in scopes}}
    return {"type": "oauth2", "description": "SMART Backend Services: private_key_jwt.", "flows": {"clientCredentials": flow}}


def _header_parameters(route: "Operation") -> list[dict[str, Any]]:  # Any: JSON values
    headers = []
    if route.needs_key:
        key = {"type": "string", "maxLength": 257, "pattern": KEY_FORM}
        headers.append(_header("Idempotency-Key", key, "A new one for every new request; repeat it when you repeat the request."))
    if route.if_match != "none":
        needed, tag = route.if_match == "required", {"type": "string", "pattern": '^W/"[1-9][0-9]{0,8}"$'}
        headers.append(_header("If-Match", tag, "The version you have seen, from ETag.", required=needed))
    if route.access.naming != "refused":
        needed = route.access.naming == "required"
        headers.append(_header("Afterglow-Practitioner", _UUID, "The practitioner for whom you act.", required=needed))
    if route.access.kind == "service":
        headers.append(_header("Afterglow-Clinic", _UUID, "The clinic that is asked about."))
    return headers


def _header(name: str, schema: dict[str, Any], description: str, *, required: bool = True) -> dict[str, Any]:  # Any: JSON values
    return {"name": name, "in": "header", "required": required, "schema": schema, "description": description}


def _refusals(route: "Operation") -> dict[int | str, dict[str, Any]]:  # Any: JSON values
    if route.access.kind is None:
        return _described(route, {414, 422, 503})
    statuses = {400, 401, 403, 414, 422, 503}
    statuses |= {404} if "{" in route.path_format else set()
    statuses |= {408, 409, 413, 415} if route.method in ("POST", "PATCH", "PUT") else set()
    statuses |= {412} if route.if_match != "none" else set()
    statuses |= {428} if route.if_match == "required" else set()
    return _described(route, statuses)


def _described(route: "Operation", statuses: set[int]) -> dict[int | str, dict[str, Any]]:  # Any: JSON values
    return {status: {"description": _WHY[status], "content": route.answer_codec.described} for status in sorted(statuses)}
