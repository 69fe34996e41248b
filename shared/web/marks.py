"""How a request is called in logs, audit rows, problems and events."""

import re
from dataclasses import dataclass
from uuid import UUID, uuid4

from starlette.types import Scope

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_MARKS = "afterglow.marks"


@dataclass(frozen=True, slots=True)
class Marks:
    """``request_id`` is what the caller calls the request, ``correlation_id`` what our events carry; one UUID where possible."""

    request_id: str
    correlation_id: UUID


def mark(scope: Scope, given: str | None) -> Marks:
    """Mark a request. A caller's id is kept when it is harmless; if it is a UUID it also ties our events to the caller's request."""
    scope[_MARKS] = marks = _marks(given)
    return marks


def marks_of(scope: Scope) -> Marks:
    """The marks of this request."""
    marks: Marks = scope[_MARKS]
    return marks


def _marks(given: str | None) -> Marks:
    if given is None or not _REQUEST_ID.fullmatch(given):
        fresh = uuid4()
        return Marks(str(fresh), fresh)
    try:
        return Marks(given, UUID(given))
    except ValueError:
        return Marks(given, uuid4())
