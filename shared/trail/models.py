"""A row of the audit trail, as it is read; it is written by ``shared.security.audit``."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Column, MetaData, Uuid
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from shared.db import utc_column


class Table(SQLModel, registry=registry(metadata=MetaData())):
    """Base of the table that this package reads."""


class TrailEntry(Table, table=True):
    """Who did what, to whom and with which outcome."""

    __tablename__ = "audit_event"

    clinic_id: UUID = Field(primary_key=True)
    audit_event_id: UUID = Field(primary_key=True)
    recorded_at: datetime = Field(sa_column=utc_column())
    client_id: str
    practitioner_id: UUID | None
    operation: str
    action: str
    phi: str
    patient_id: UUID | None
    patient_ids: list[UUID] | None = Field(sa_column=Column(ARRAY(Uuid), nullable=True))
    subject: str | None
    outcome: int
    request_id: str
