"""Which language an operation answers in: how it says no. Problems, pages and FHIR differ in this and in nothing else of the frame."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi.responses import Response

from shared.web.marks import Marks


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was not done, as every language has it: status, stable code, our own words. Nothing that was sent."""

    status: int
    code: str
    detail: str
    errors: Sequence[Mapping[str, object]] = ()
    """One for each refused field: ``pointer``, ``code``, ``detail``, and ``in`` where it is no member of the body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)


class AnswerCodec(Protocol):
    """How refusals of an operation read."""

    @property
    def described(self) -> Mapping[str, Any]:  # Any: JSON values
        """The content of a refusal in the API's description, by media type."""

    def refused(self, marks: Marks, refusal: Refusal) -> Response:
        """The answer that says no."""


class AfterCommit(Response):
    """An answer that is made when the transaction has ended, for it asks others, who may be slow, or tells what is now so.

    ``status_code`` is what the trail has; the answer that is made may have another, such as that of a redirect.
    """

    def __init__(self, make: Callable[[], Awaitable[Response]], *, status_code: int = 200) -> None:
        super().__init__(status_code=status_code)
        self.make = make
