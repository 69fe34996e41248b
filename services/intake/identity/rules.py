import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_ERRORS = ("invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type")
LIFETIME_SECONDS = 300
"""Of an access token."""


class ClientKind(StrEnum):
    """Whose machine it is: a clinic's system, one of our own services, or the operator's."""

    CLINIC_SYSTEM = "clinic-system"
    SERVICE = "service"
    OPERATOR = "operator"


def _scopes(prefix: str, **resources: str) -> frozenset[str]:
    return frozenset(f"{prefix}/{resource}.{letter}" for resource, letters in resources.items() for letter in letters)


SCOPES: Mapping[ClientKind, Mapping[str, frozenset[str]]] = {
    ClientKind.CLINIC_SYSTEM: {
        "intake": _scopes("system", Practitioner="cru", Patient="cru", Consent="cru", CarePlan="cru", Document="cru", Audit="r"),
        "sessions": _scopes("system", Procedure="cru", Observation="cr", Document="cru", Audit="r"),
        "followup": _scopes("system", Task="ru", QuestionnaireResponse="r", Document="cru", Audit="r"),
    },
    ClientKind.SERVICE: {"intake": _scopes("service", Directory="r"), "sessions": _scopes("service", Procedure="r")},
    ClientKind.OPERATOR: {
        "intake": _scopes("system", Organization="cru", Client="cru", Pipeline="ru"),
        "sessions": _scopes("system", Pipeline="ru"),
        "followup": _scopes("system", Pipeline="ru"),
    },
}
"""Every scope that exists: for which kind of client, and which service's operations ask for it. There is no wildcard."""

_SCOPE = re.compile(r"(?P<resource>(?:system|service)/[A-Za-z]+)\.(?P<letters>c?r?u?)")


def expanded(scopes: Iterable[str]) -> list[str]:
    """Scopes one letter at a time and in order: ``system/Patient.cr`` becomes ``.c`` and ``.r``. What is no scope stays as it is."""
    single: set[str] = set()
    for scope in scopes:
        match = _SCOPE.fullmatch(scope)
        letters = match["letters"] if match else ""
        single |= {f"{match['resource']}.{letter}" for letter in letters} if match and letters else {scope}
    return sorted(single)


def known(kind: ClientKind) -> frozenset[str]:
    """Every scope that a client of this kind may be registered for."""
    return frozenset().union(*SCOPES[kind].values())


def granted(requested: Iterable[str], registered: Iterable[str]) -> list[str]:
    """What of the request the client is registered for; nothing beyond, and empty when nothing remains."""
    allowed = set(registered)
    return [scope for scope in expanded(requested) if scope in allowed]


def audience(kind: ClientKind, scopes: Iterable[str]) -> list[str]:
    """The services whose operations these scopes are for: a token is no use anywhere else."""
    wanted = set(scopes)
    return [service for service, own in SCOPES[kind].items() if own & wanted]
