"""The base of intake's tables, with a registry of its own."""

from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Enum
from sqlalchemy.orm import registry
from sqlmodel import SQLModel

from shared.db import service_metadata


class Table(SQLModel, registry=registry(metadata=service_metadata())):
    """Base of all tables here."""


def code_column(
    kind: type[StrEnum], *, nullable: bool = False, primary_key: bool = False
) -> Column[Any]:  # Any: SQLAlchemy's Enum is typed by its argument only
    """A fresh column that holds the kebab-case values of ``kind`` as text."""
    return Column(Enum(kind, native_enum=False, length=32, values_callable=_values), nullable=nullable, primary_key=primary_key)


def _values(kind: type[StrEnum]) -> list[str]:
    return [member.value for member in kind]
