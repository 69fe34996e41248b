"""FHIR R4 as a language of answers: resources as ``application/fhir+json``, refusals as OperationOutcome with the JSON API's status."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi.responses import Response

from shared.web.answers import Refusal
from shared.web.marks import Marks

MEDIA_TYPE = "application/fhir+json; fhirVersion=4.0"
SYSTEMS = "https://afterglow.care/fhir/CodeSystem/"
"""Of our codes. Those of refusals are the same as in a problem."""

Resource = Mapping[str, Any]  # Any: JSON values

_ISSUES = {
    400: "structure",
    401: "login",
    403: "forbidden",
    404: "not-found",
    409: "conflict",
    410: "not-found",
    412: "conflict",
    413: "too-long",
    415: "structure",
    422: "invalid",
    428: "required",
    429: "throttled",
    500: "exception",
    503: "transient",
}
"""``issue.code`` by status, from the value set that FHIR binds it to (http://hl7.org/fhir/R4/valueset-issue-type.html)."""

OPERATION_OUTCOME = {
    "type": "object",
    "description": "FHIR R4. `issue.details.coding.code` is stable; nothing that was sent is repeated.",
    "required": ["resourceType", "issue"],
    "properties": {
        "resourceType": {"const": "OperationOutcome"},
        "issue": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["severity", "code", "details"],
                "properties": {
                    "severity": {"type": "string", "enum": ["error"]},
                    "code": {"type": "string"},
                    "details": {"type": "object"},
                    "diagnostics": {"type": "string", "description": "Which part of the request is meant."},
                },
            },
        },
    },
}


class FhirResponse(Response):
    """An answer that is a resource."""

    media_type = "application/fhir+json"


def described(kind: str, *required: str) -> dict[int | str, dict[str, Any]]:  # Any: JSON values
    """A resource in the API's description: its members are FHIR's; ``required`` are those that it always has here."""
    schema = {
        "type": "object",
        "description": f"FHIR R4 {kind} (http://hl7.org/fhir/R4/{kind.lower()}.html).",
        "required": ["resourceType", "id", *required],
        "properties": {"resourceType": {"const": kind}, "id": {"type": "string"}},
    }
    return {200: {"content": {FhirResponse.media_type: {"schema": schema}}}}


def coded(system: str, code: str | None, text: str = "") -> Resource | None:
    """A code of ours as a CodeableConcept."""
    if code is None:
        return None
    return {"coding": [{"system": f"{SYSTEMS}{system}", "code": code}], "text": text}


def reference(kind: str, of: UUID | None, display: str = "") -> Resource | None:
    """A resource by its kind and id."""
    return None if of is None else {"reference": f"{kind}/{of}", "display": display}


def resource_response(resource: Resource) -> Response:
    """A resource as an answer. FHIR has no null and no empty list: what is not known is left out."""
    content = json.dumps(_filled(resource), ensure_ascii=False, allow_nan=False).encode()
    return FhirResponse(content, media_type=MEDIA_TYPE)


class FhirAnswers:
    """The language of the FHIR facade."""

    described: Mapping[str, Any] = {  # Any: JSON values
        "application/fhir+json": {"schema": {"$ref": "#/components/schemas/OperationOutcome"}},
    }

    def refused(self, marks: Marks, refusal: Refusal) -> Response:  # the request's own id stands in a header of every answer
        """As an OperationOutcome: one issue for the refusal, and one for each field."""
        kind = _ISSUES.get(refusal.status, "processing")
        issues = [_issue(kind, refusal.code, refusal.detail)]
        issues += [_issue(kind, str(one["code"]), str(one["detail"]), _place(one)) for one in refusal.errors]
        content = json.dumps({"resourceType": "OperationOutcome", "issue": issues}, ensure_ascii=False).encode()
        return Response(content, status_code=refusal.status, headers=dict(refusal.headers), media_type=MEDIA_TYPE)


FHIR = FhirAnswers()


def _issue(kind: str, code: str, detail: str, place: str = "") -> Resource:
    details = {"coding": [{"system": f"{SYSTEMS}refusal", "code": code}], **({"text": detail} if detail else {})}
    return {"severity": "error", "code": kind, "details": details, **({"diagnostics": place} if place else {})}


def _place(error: Mapping[str, object]) -> str:
    return f"{error.get('in', 'body')} {error['pointer']}".strip()


def _filled(value: Any) -> Any:  # Any: JSON values
    """Without what is not known, at any depth."""
    if isinstance(value, Mapping):
        members = {name: _filled(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member not in (None, {}, [], "")}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [member for member in map(_filled, value) if member not in (None, {}, [], "")]
    return value
