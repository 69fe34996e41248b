"""Declarations of who may call."""

from typing import Any

import pytest

from shared.errors import Forbidden
from shared.security.access import Access, Undeclared, access, access_of, operator_access, public_access, service_access
from shared.security.caller import Caller


@access("system/Patient.u", person=("nurse",), phi="write")
async def change() -> None:
    """An endpoint."""


def test_a_declaration_stays_with_its_endpoint() -> None:
    declared = access_of(change)
    assert declared == Access("clinic-system", "system/Patient.u", frozenset({"nurse"}), "write", naming="required")
    said = {"kind": "clinic-system", "scope": "system/Patient.u", "roles": ["nurse"], "phi": "write", "person": "required"}
    assert declared.described() == said


@pytest.mark.parametrize(
    ("declaration", "naming"),
    [({"person": ("nurse",)}, "required"), ({"system_or_person": ("nurse",)}, "optional"), ({"system_alone": "a feed"}, "refused")],
)
def test_a_declaration_says_whether_a_person_is_named(declaration: dict[str, Any], naming: str) -> None:
    async def endpoint() -> None:
        """An endpoint."""

    assert access_of(access("system/Patient.r", **declaration)(endpoint)).naming == naming


@pytest.mark.parametrize(
    "declaration",
    [
        {},
        {"person": ()},
        {"system_or_person": ()},
        {"system_alone": ""},
        {"person": ("nurse",), "system_or_person": ("nurse",)},
        {"person": ("nurse",), "system_alone": "a feed"},
    ],
)
def test_a_declaration_that_leaves_open_who_acts_is_none(declaration: dict[str, Any]) -> None:
    with pytest.raises(Undeclared):
        access("system/Patient.r", **declaration)


@pytest.mark.parametrize("scope", ["system/Patient.cru", "system/Patient", "system/Patient.*x", ""])
def test_a_declaration_names_one_right(scope: str) -> None:
    with pytest.raises(Undeclared):
        access(scope, person=("nurse",))
    for declare in (service_access, operator_access):
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
