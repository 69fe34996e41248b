"""A clinic's own versions, and from when each one counts. A text never changes; that it was signed is added to it, once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import MetaData
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from shared.db import utc_column
from shared.documents.kinds import FIRST_OF_A_CLINIC
from shared.errors import Conflict, Forbidden

RELEASE = "Product/afterglow"
"""Who has written a default."""


class Table(SQLModel, registry=registry(metadata=MetaData())):
    """Base of the tables of this package, which every service has."""


class Version(Table, table=True):
    """One version of a document as a clinic has it: its own, or a default that it has signed."""

    __tablename__ = "clinic_document"

    clinic_id: UUID = Field(primary_key=True)
    code: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    content: str
    written_by: str
    written_at: datetime = Field(sa_column=utc_column())
    signed_by: str | None = None
    signed_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))

    @property
    def state(self) -> int:
        """For If-Match: 1 as written, 2 once signed."""
        return 1 if self.signed_at is None else 2

    @property
    def is_default(self) -> bool:
        """Whether a release has written it."""
        return self.version < FIRST_OF_A_CLINIC

    def sign(self, *, actor: str, at: datetime) -> None:
        """Raises 409 already-signed, 403 signed-by-writer for whoever has written it."""
        if self.signed_at is not None:
            raise Conflict("already-signed", "This version is signed already. activate says from when it counts.")
        if self.written_by == actor:
            raise Forbidden("signed-by-writer", "Somebody other than the one who wrote a version must sign it.")
        self.signed_by, self.signed_at = actor, at


class Activation(Table, table=True):
    """That a signed version counts from a moment on, until the next such moment. Of two with one moment the later entry counts."""

    __tablename__ = "clinic_document_activation"

    clinic_id: UUID = Field(primary_key=True)
    code: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    version: int
    active_from: datetime = Field(sa_column=utc_column())
    activated_by: str
    activated_at: datetime = Field(sa_column=utc_column())
