"""How a request is called in logs, audit rows, problems and events."""

import re
from dataclasses import dataclass
from uuid import UUID, uuid4

from starlette.types import Scope

_REQUEST_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}", re.ASCII | re.IGNORECASE)
"""A UUID, or 128 bits in hexadecimal as traces and gateways have it. What is chosen freely may name a patient, and is logged."""
_MARKS = "afterglow.marks"


@dataclass(frozen=True, slots=True)
class Marks:
    """``request_id`` is what the caller calls the request, ``correlation_id`` the same as a UUID, which our events carry."""

    request_id: str
    correlation_id: UUID


def mark(scope: Scope, given: str | None) -> Marks:
    """Mark a request. A caller's id is kept when it can be nothing but an id, and ties our events to the caller's request."""
    scope[_MARKS] = marks = _marks(given)
    return marks


def marks_of(scope: Scope) -> Marks:
    marks: Marks = scope[_MARKS]
    return marks


def _marks(given: str | None) -> Marks:
    if given is None or not _REQUEST_ID.fullmatch(given):
        fresh = uuid4()
        return Marks(str(fresh), fresh)
    return Marks(given, UUID(given))
