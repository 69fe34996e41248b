"""Who may call an operation, declared where it is defined. An operation without a declaration stops the start."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from shared.errors import Forbidden
from shared.security.caller import Caller, Kind

Phi = Literal["none", "read", "write"]
F = TypeVar("F", bound=Callable[..., Any])  # Any: endpoints take what they declare
_MARK = "__afterglow_access__"


@dataclass(frozen=True, slots=True)
class Access:
    """``kind`` None is public: no token, no transaction and no idempotency key; ``reason`` says why that is right."""

    kind: Kind | None
    scope: str = ""
    roles: tuple[str, ...] = ()
    phi: Phi = "none"
    reason: str = ""

    @property
    def action(self) -> str:
        """The letter of the scope as in an AuditEvent: C, R, U, D or E; a search counts as R."""
        return {"c": "C", "r": "R", "s": "R", "u": "U", "d": "D"}.get(self.scope[-1:], "E")

    def check(self, caller: Caller) -> None:
        """Raises Forbidden unless the caller is of the declared kind and holds the declared scope."""
        if caller.kind != self.kind:
            raise Forbidden("caller-kind", f"Only for callers of kind {self.kind}.")
        if not caller.may(self.scope):
            raise Forbidden("scope-missing", f"Needs the scope {self.scope}.")

    def described(self) -> dict[str, object]:
        """For ``x-access`` in the API's description."""
        if self.kind is None:
            return {"kind": "public", "reason": self.reason, "phi": self.phi}
        return {"kind": self.kind, "scope": self.scope, "roles": sorted(self.roles), "phi": self.phi}


class Undeclared(Exception):
    """An operation says nothing about who may call it; the service must not start."""


def access(scope: str, *, roles: Iterable[str] = (), phi: Phi = "none") -> Callable[[F], F]:
    """For clinic systems with ``scope``; with ``roles`` only for a named practitioner who holds one of them."""
    return _declare(Access("clinic-system", scope, tuple(roles), phi))


def service_access(scope: str, *, phi: Phi = "none") -> Callable[[F], F]:
    """For our own services, which name the clinic in the header ``Afterglow-Clinic``."""
    return _declare(Access("service", scope, (), phi))


def operator_access(scope: str) -> Callable[[F], F]:
    """For the operator of the installation, who belongs to no clinic and sees no patient."""
    return _declare(Access("operator", scope))


def public_access(reason: str) -> Callable[[F], F]:
    """For everybody, without a token; the endpoint opens its own transactions."""
    if not reason:
        raise Undeclared("public access needs its reason")
    return _declare(Access(None, reason=reason))


def access_of(endpoint: Callable[..., Any]) -> Access:  # Any: as above
    """The declaration of an endpoint. Raises Undeclared."""
    declared = getattr(endpoint, _MARK, None)
    if not isinstance(declared, Access):
        raise Undeclared(f"{getattr(endpoint, '__name__', endpoint)} declares no access")
    return declared


def census(app: FastAPI, *, also: Collection[str] = ()) -> dict[str, Access]:
    """Every operation as ``METHOD /path`` with its declaration. Raises Undeclared for any other route that is not in ``also``."""
    found: dict[str, Access] = {}
    for context in iter_route_contexts(app.routes):
        declared = getattr(context.original_route, "access", None)
        if isinstance(declared, Access):
            found |= {f"{method} {context.path_format}": declared for method in context.methods or ()}
        elif (context.path or "") not in also:
            raise Undeclared(f"{context.path} is not an operation with declared access")
    return found


def _declare(declared: Access) -> Callable[[F], F]:
    if declared.kind is not None and len(declared.scope.rpartition(".")[2]) != 1:
        raise Undeclared(f"{declared.scope!r} must name one right, such as system/Patient.r")

    def mark(endpoint: F) -> F:
        setattr(endpoint, _MARK, declared)
        return endpoint

    return mark
