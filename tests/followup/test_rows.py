"""Rows go to a statement by name, so that no order of columns has to be remembered anywhere."""

from dataclasses import dataclass

import pytest

from services.followup.tables import arrays_of, columns_of, rows_of

TYPES = {"name": "TEXT", "number": "INTEGER"}


@dataclass(frozen=True)
class Thing:
    number: int
    name: str
    other: str = "not a column"


def test_a_row_may_name_its_columns_in_any_order() -> None:
    assert arrays_of(TYPES, [{"number": 1, "name": "a"}, {"name": "b", "number": 2}]) == {"name": ["a", "b"], "number": [1, 2]}
    assert arrays_of(TYPES, [columns_of(TYPES, Thing(3, "c"))]) == {"name": ["c"], "number": [3]}


@pytest.mark.parametrize("row", [{"name": "a"}, {"name": "a", "number": 1, "colour": "red"}, {"name": "a", "numbr": 1}, {}])
def test_a_row_with_other_names_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"number|colour"):
        arrays_of(TYPES, [row])


def test_no_rows_are_empty_arrays() -> None:
    assert arrays_of(TYPES, []) == {"name": [], "number": []}


def test_the_arrays_come_in_the_order_of_the_statement() -> None:
    assert rows_of(TYPES) == "unnest(CAST(:name AS TEXT[]), CAST(:number AS INTEGER[])) AS given(name, number)"
