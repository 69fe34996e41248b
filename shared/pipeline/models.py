"""The parked record as an operator may see it: its value is not even read."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, MetaData
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from shared.db import utc_column


class Table(SQLModel, registry=registry(metadata=MetaData())):
    """Base of the tables that this package reads."""


class ParkedEntry(Table, table=True):
    """A row of ``platform.parked`` without the record's value."""

    __tablename__ = "parked"
    __table_args__ = {"schema": "platform"}

    parked_id: int = Field(primary_key=True, sa_type=BigInteger)
    consumer: str
    topic: str
    partition: int
    offset: int = Field(sa_type=BigInteger)
    event_id: UUID | None
    key: str | None
    blocks_key: bool
    headers: list[Any] = Field(sa_column=Column(JSONB, nullable=False))
    """Pairs of a name and a value in base64, as they came."""
    reason: str
    error_class: str
    attempts: int
    state: str
    parked_at: datetime = Field(sa_column=utc_column())
    settled_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    settled_by: str | None
