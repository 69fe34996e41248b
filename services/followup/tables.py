"""The base of this service's tables, and how many rows go into one statement whose text does not depend on their number."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Dialect, Enum, String, TypeDecorator
from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.orm import registry
from sqlmodel import SQLModel

from shared.db import service_metadata
from shared.errors import Unavailable

_DIALECT = PGDialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its dialects untyped


class Table(SQLModel, registry=registry(metadata=service_metadata())):
    """Base of all tables here. Table models are only ever filled by our own code and never parse input."""


class Overtaken(Unavailable):
    """A row is another than the one that a decision was made on: somebody claimed a task meanwhile. Nothing was written; try again."""


def code_column(codes: type[StrEnum], *, nullable: bool = False) -> Column[Any]:  # Any: SQLAlchemy's Enum is typed by its argument only
    """A fresh column that holds the kebab-case values of ``codes`` as text."""
    return Column(Enum(codes, native_enum=False, length=32, values_callable=_values), nullable=nullable)


class _Known(TypeDecorator[StrEnum]):
    """A code as text, of which one that only a later release knows reads as ``otherwise``."""

    impl = String
    cache_ok = True

    def __init__(self, codes: type[StrEnum], otherwise: StrEnum) -> None:
        super().__init__(32)
        self._codes, self._otherwise = frozenset(codes), otherwise

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        """As it is read."""
        return next((code for code in self._codes if code.value == value), self._otherwise)


def known_code_column(codes: type[StrEnum], otherwise: StrEnum) -> Column[Any]:  # Any: as above
    """A fresh column for codes that are only shown: one that a release beside this one writes must not make its list unreadable."""
    return Column(_Known(codes, otherwise), nullable=False)


def _values(codes: type[StrEnum]) -> list[str]:
    return [member.value for member in codes]


def types_of(model: type[Table], *columns: str) -> dict[str, str]:
    """The PostgreSQL types of some columns of a table."""
    table: SqlTable = model.__table__  # type: ignore[attr-defined]  # set by SQLAlchemy when the class is mapped
    return {name: table.c[name].type.compile(_DIALECT) for name in columns}


def rows_of(types: Mapping[str, str]) -> str:
    """``unnest(...) AS given(...)``: a FROM item that takes one array per column, under the column's name as parameter.

    A statement made with it is the same text for one row and for a thousand, so it is planned once and never grows.
    """
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in types.items())
    return f"unnest({arrays}) AS given({', '.join(types)})"


def arrays_of(types: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:  # Any: values of several types
    """The parameters for ``rows_of``: rows turned on their side, by name. Raises ValueError for a row with other names than these."""
    arrays: dict[str, list[Any]] = {name: [] for name in types}
    for row in rows:
        if row.keys() != arrays.keys():
            raise ValueError(sorted(row.keys() ^ arrays.keys()))
        for name, value in row.items():
            arrays[name].append(value)
    return arrays


def columns_of(types: Mapping[str, str], source: object) -> dict[str, Any]:  # Any: values of several types
    """A row of the attributes that bear the columns' names."""
    return {name: getattr(source, name) for name in types}
