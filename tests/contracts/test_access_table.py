"""The table of who may what names every operation of clinic systems, and each is declared as it says."""

import json
from pathlib import Path
from typing import Any

from shared.events.intake import Role
from tests.trust.table import DEACTIVATED, ELSEWHERE, NAMED, NOBODY, UNKNOWN, access_table, if_match_table

_DESCRIPTIONS = Path(__file__).parents[2] / "docs" / "api"
_KINDS = {"public", "service", "operator", "clinic-system"}

Declared = dict[str, dict[str, Any]]  # Any: JSON values


def described() -> Declared:
    """The descriptions of the operations of clinic systems."""
    found: Declared = {}
    for file in _DESCRIPTIONS.glob("*.openapi.json"):
        for path, methods in json.loads(file.read_text())["paths"].items():
            for method, operation in methods.items():
                assert operation["x-access"]["kind"] in _KINDS
                if operation["x-access"]["kind"] == "clinic-system":
                    found[f"{method.upper()} {path}"] = operation
    return found


def declared() -> Declared:
    """Their ``x-access``."""
    return {name: operation["x-access"] for name, operation in described().items()}


def if_match_of(operation: dict[str, Any]) -> str:  # Any: JSON values
    (found,) = [one for one in operation.get("parameters", ()) if one["name"] == "If-Match"] or [None]
    return "none" if found is None else "required" if found["required"] else "optional"


def test_a_change_of_what_is_recorded_needs_the_version_that_was_seen_as_the_table_says() -> None:
    found = {name: if_match_of(operation) for name, operation in described().items()}
    assert {name: needed for name, needed in found.items() if needed != "none"} == dict(if_match_table())


def test_the_table_names_every_operation_of_clinic_systems_and_no_other() -> None:
    of_a_record = {operation for operation in declared() if "{" in operation}
    expected = {(operation, "own") for operation in declared()} | {(operation, "other") for operation in of_a_record}
    assert set(access_table()) == expected


def test_the_table_says_of_everybody_what_they_get() -> None:
    assert [key for key, answers in access_table().items() if tuple(answers) != NAMED] == []


def test_every_operation_is_declared_as_the_table_says() -> None:
    operations = declared()
    wrong = [key for key, answers in access_table().items() if answers != expected(operations[key[0]], key[1])]
    assert wrong == []


def expected(access: dict[str, Any], clinic: str) -> dict[str, str]:  # Any: JSON values
    allowed = "allow" if clinic == "own" else "not-found"
    if access["person"] == "refused":
        return {NOBODY: allowed} | {name: "practitioner-not-allowed" for name in NAMED if name != NOBODY}
    roles = {role.value: allowed if role in access["roles"] else "role-missing" for role in Role}
    nobody = "practitioner-required" if access["person"] == "required" else allowed
    nowhere = {DEACTIVATED: "practitioner-not-active", ELSEWHERE: "practitioner-unknown", UNKNOWN: "practitioner-unknown"}
    return {NOBODY: nobody, **roles, **nowhere}
