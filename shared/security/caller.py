"""Who calls: what the token says, and what this service knows of the client and of the practitioner it acts for."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from shared import versions
from shared.errors import Forbidden, Unauthorized

Kind = Literal["clinic-system", "service", "operator", "patient", "staff"]
"""The first three are registered clients, which tokens name; the others come with a browser: a patient's link, a staff session."""
Naming = Literal["required", "optional", "refused"]
"""Whether a caller must, may or must not name the person for whom it acts."""
KINDS: tuple[Kind, ...] = ("clinic-system", "service", "operator")
"""What the token of a registered client may say that it is."""

_OF_A_CLINIC = frozenset({"clinic-system", "staff"})
"""A closed clinic's systems and staff are refused. Its patients read on their page that nobody there reads what they send."""

OUTSIDE_CLINICS = UUID(int=0)
"""Stands for the clinic where there is none: an operator's audit rows and stored answers."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller. ``practitioner_id`` and ``roles`` are set when a clinic system acts for a person."""

    client_id: str
    kind: Kind
    clinic_id: UUID | None
    scopes: frozenset[str]
    practitioner_id: UUID | None = None
    roles: frozenset[str] = frozenset()

    @property
    def actor(self) -> str:
        """Who is answerable for what is done: the person, or the machine where no person is named."""
        return f"Practitioner/{self.practitioner_id}" if self.practitioner_id else f"Client/{self.client_id}"

    def may(self, scope: str) -> bool:
        """Whether the token grants ``system/Patient.r``, by itself or within ``system/Patient.cru``."""
        return _granted(self.scopes, scope)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is answerable for a change, as use cases know them: a person, or a machine that acts by itself.

    ``seen`` is the version of the record on which they decided, where they name one.
    """

    name: str
    practitioner_id: UUID | None = None
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    seen: int | None = None

    def may(self, scope: str) -> bool:
        """Whether they hold a right such as ``system/Patient.r``."""
        return _granted(self.scopes, scope)

    def require_version(self, current: int) -> None:
        """Raises 428 where they name no version, 412 where it is another than ``current``."""
        versions.require(self.seen, current)

    def expect_version(self, current: int) -> None:
        """For a step, which the record's state guards: raises 412 where they name a version and it is another one."""
        if self.seen is not None:
            versions.require(self.seen, current)


def _granted(scopes: Iterable[str], scope: str) -> bool:
    resource, _, letter = scope.rpartition(".")
    return any(held.rpartition(".")[0] == resource and letter in held.rpartition(".")[2] for held in scopes)


@dataclass(frozen=True, slots=True)
class Standing:
    """What this service's projection says at this moment; None where it knows nothing."""

    client_clinic_id: UUID | None = None
    client_active: bool | None = None
    client_may_act: bool | None = None
    practitioner_active: bool | None = None
    practitioner_roles: Sequence[str] = ()
    clinic_active: bool | None = None


def refuse_client(caller: Caller, standing: Standing) -> None:
    """A client that intake has disabled is refused at once, and so are the systems of a clinic that has closed.

    One that we do not know yet is trusted by its 5-minute token. Our own services and the operator go on: records stay.
    """
    if standing.client_active is False:
        raise Unauthorized("client-disabled", "This client has been disabled.")
    if caller.kind == "clinic-system" and standing.client_clinic_id not in (None, caller.clinic_id):
        raise Unauthorized("token-invalid", "The token does not fit the client's registration.")
    if caller.kind in _OF_A_CLINIC and standing.clinic_active is False:
        raise Unauthorized("clinic-inactive", "This clinic is not active.")


def acting(caller: Caller, standing: Standing, practitioner_id: UUID | None, naming: Naming, roles: Collection[str]) -> Caller:
    """The caller with the practitioner it acts for, who must hold one of ``roles``. Raises Forbidden.

    A person who is named and may not act is a refusal, never a request by the system itself: that would show more than the person may see.
    """
    if practitioner_id is None:
        if naming == "required":
            raise practitioner_required()
        return caller
    refused = _why_not(caller, standing, naming, roles)
    if refused is not None:
        raise refused
    return replace(caller, practitioner_id=practitioner_id, roles=frozenset(standing.practitioner_roles))


def _why_not(caller: Caller, standing: Standing, naming: Naming, roles: Collection[str]) -> Forbidden | None:
    """What we have not heard of has codes of its own: those may pass by themselves, and a caller may ask again."""
    if naming == "refused":
        return Forbidden("practitioner-not-allowed", "Nobody may be named here: leave the header Afterglow-Practitioner out.")
    if caller.kind != "staff" and standing.client_may_act is None:
        return Forbidden("client-unknown", "This service has not heard of this client yet. It may in a moment.")
    if caller.kind != "staff" and not standing.client_may_act:
        return Forbidden("client-may-not-act", "This client is not registered to act for practitioners.")
    if standing.practitioner_active is None:
        return Forbidden(
            "practitioner-unknown", "This service knows no such practitioner in this clinic. One who is new it may know in a moment."
        )
    if not standing.practitioner_active:
        return Forbidden("practitioner-not-active", "The practitioner is not active in this clinic.")
    return role_missing(roles) if frozenset(standing.practitioner_roles).isdisjoint(roles) else None


def practitioner_required() -> Forbidden:
    """403 where only a person can act or be meant."""
    return Forbidden("practitioner-required", "Name the practitioner in the header Afterglow-Practitioner.")


def role_missing(needed: Iterable[str]) -> Forbidden:
    """403 for a person who holds none of these roles."""
    return Forbidden("role-missing", f"Needs one of these roles: {', '.join(sorted(needed))}.")
