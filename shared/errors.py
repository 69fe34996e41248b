"""What a use case raises when it refuses: one family with a stable code, turned into problem+json in one place.

``detail`` and the codes are written by us; nothing that a caller sent is ever put into them.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID


class FieldError(NamedTuple):
    """One refused member of a body: where (RFC 6901 pointer), which stable code, and the allowed range in words."""

    pointer: str
    code: str
    detail: str = ""


class DomainError(Exception):
    """A refusal with an HTTP status and a stable code. ``extra`` adds members to the problem body, such as the state."""

    default_status = 409

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.status = status or self.default_status
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        self.showed: Collection[UUID] = ()
        """Patients whom the refusal tells of: the trail names them."""


class Malformed(DomainError):
    """The request cannot be read."""

    default_status = 400


class Unauthorized(DomainError):
    """No valid credential. Always tells which scheme is expected."""

    default_status = 401

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(DomainError):
    """The credential is valid and not enough."""

    default_status = 403


class NotFound(DomainError):
    """No such thing in this clinic; another clinic's id gets the same answer as a random one."""

    default_status = 404

    def __init__(self, detail: str = "There is no such resource.") -> None:
        super().__init__("not-found", detail)


class Conflict(DomainError):
    """The thing exists and its state does not allow this now."""


class PreconditionFailed(DomainError):
    """The version named by If-Match is not the current one."""

    default_status = 412


class Invalid(DomainError):
    """The body can be read and its content is refused."""

    default_status = 422


class Unavailable(DomainError):
    """Something we need is away. Nothing was changed; the caller may repeat after ``retry_after_seconds``."""

    default_status = 503

    def __init__(self, detail: str = "A part of the system cannot be reached.", *, retry_after_seconds: int = 1) -> None:
        super().__init__("unavailable", detail, headers={"Retry-After": str(retry_after_seconds)})


class TooSlow(Unavailable):
    """The database is there and ended a statement for the time that it took. It may be busy; it may be a defect of ours."""
