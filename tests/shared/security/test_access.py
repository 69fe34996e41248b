"""Declarations of who may call."""

import pytest

from shared.errors import Forbidden
from shared.security.access import Access, Undeclared, access, access_of, operator_access, public_access, service_access
from shared.security.caller import Caller


@access("system/Patient.u", roles=("nurse",), phi="write")
async def change() -> None:
    """An endpoint."""


def test_a_declaration_stays_with_its_endpoint() -> None:
    assert access_of(change) == Access("clinic-system", "system/Patient.u", ("nurse",), "write")
    assert access_of(change).described() == {"kind": "clinic-system", "scope": "system/Patient.u", "roles": ["nurse"], "phi": "write"}


@pytest.mark.parametrize("scope", ["system/Patient.cru", "system/Patient", "system/Patient.*x", ""])
def test_a_declaration_names_one_right(scope: str) -> None:
    for declare in (access, service_access, operator_access):
        with pytest.raises(Undeclared):
            declare(scope)


def test_public_access_has_a_reason() -> None:
    with pytest.raises(Undeclared):
        public_access("")


def test_silence_is_no_declaration() -> None:
    async def silent() -> None:
        """An endpoint."""

    with pytest.raises(Undeclared, match="silent"):
        access_of(silent)


@pytest.mark.parametrize(
    ("scope", "action"), [("x/Y.c", "C"), ("x/Y.r", "R"), ("x/Y.s", "R"), ("x/Y.u", "U"), ("x/Y.d", "D"), ("x/Y.x", "E")]
)
def test_the_right_is_the_recorded_action(scope: str, action: str) -> None:
    assert Access("service", scope).action == action


def test_kind_and_scope_are_both_checked() -> None:
    declared = access_of(change)
    declared.check(Caller("c", "clinic-system", None, frozenset({"system/Patient.u"})))
    for kind, scope, code in (("operator", "system/Patient.u", "caller-kind"), ("clinic-system", "system/Patient.r", "scope-missing")):
        with pytest.raises(Forbidden) as refused:
            declared.check(Caller("c", kind, None, frozenset({scope})))  # type: ignore[arg-type] # a kind from the list above
        assert refused.value.code == code
