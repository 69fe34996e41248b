"""Who may call an operation, declared where it is defined. An operation without a declaration stops the start."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from shared.errors import Forbidden
from shared.security.caller import Caller, Kind, Naming

Phi = Literal["none", "read", "write"]
F = TypeVar("F", bound=Callable[..., Any])  # Any: endpoints take what they declare
_MARK = "__afterglow_access__"


@dataclass(frozen=True, slots=True)
class Access:
    """``kind`` None is public: no credential, no transaction, no idempotency key. ``reason`` says why that, or a system alone, is right."""

    kind: Kind | None
    scope: str = ""
    roles: frozenset[str] = frozenset()
    """Of which a named person must hold one; empty where nobody may be named."""
    phi: Phi = "none"
    reason: str = ""
    corrects: bool = False
    """It changes what is recorded, not only the state of the record: the version that was seen must be named."""
    naming: Naming = "refused"
    """Whether a clinic system must, may or must not name the person for whom it acts."""

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
        described: dict[str, object] = {"kind": self.kind, "scope": self.scope, "roles": sorted(self.roles), "phi": self.phi}
        if self.kind == "clinic-system":
            described["person"] = self.naming
        return described | ({"reason": self.reason} if self.reason else {})


class Undeclared(Exception):
    """An operation says nothing about who may call it; the service must not start."""


def access(
    scope: str,
    *,
    person: Collection[str] | None = None,
    system_or_person: Collection[str] | None = None,
    system_alone: str | None = None,
    corrects: bool = False,
    phi: Phi = "none",
) -> Callable[[F], F]:
    """For clinic systems with ``scope``, and for whom they act: exactly one of three, so that it cannot be forgotten.

    ``person``: somebody must be named, and hold one of these roles. ``system_or_person``: the system may act by itself; whoever is
    named must hold one of these roles. ``system_alone``: nobody may be named, for the reason given. Raises Undeclared otherwise.

    ``corrects``: what was recorded is changed, so If-Match is required, as it is for every PATCH. A step is guarded by the record's state.
    """
    if sum(said is not None for said in (person, system_or_person, system_alone)) != 1:
        raise Undeclared(f"{scope!r} declares one of: person, system_or_person, system_alone")
    naming: Naming = "required" if person is not None else "refused" if system_alone is not None else "optional"
    roles = frozenset(person or system_or_person or ())
    if not roles and not system_alone:
        raise Undeclared(f"{scope!r} names the roles that a person must hold, or the reason why nobody may be named")
    return _declare(Access("clinic-system", scope, roles, phi, system_alone or "", corrects, naming))


def service_access(scope: str, *, phi: Phi = "none") -> Callable[[F], F]:
    """For our own services, which name the clinic in the header ``Afterglow-Clinic``."""
    return _declare(Access("service", scope, phi=phi))


def operator_access(scope: str) -> Callable[[F], F]:
    """For the operator of the installation, who belongs to no clinic and sees no patient."""
    return _declare(Access("operator", scope))


def staff_access(scope: str, *, person: Collection[str], phi: Phi = "none") -> Callable[[F], F]:
    """For people who have signed in, on pages: whoever holds one of these roles. Raises Undeclared without a role."""
    if not person:
        raise Undeclared(f"{scope!r} names the roles that a person must hold")
    return _declare(Access("staff", scope, frozenset(person), phi, naming="required"))


def patient_access(scope: str, *, phi: Phi = "none") -> Callable[[F], F]:
    """For whoever holds a patient's link, who acts as that patient and as nobody else."""
    return _declare(Access("patient", scope, phi=phi))


def public_access(reason: str) -> Callable[[F], F]:
    """For everybody, without a credential: sign-in, public keys, numbers to call. The endpoint opens its own transactions."""
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
