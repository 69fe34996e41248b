from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Column, ForeignKeyConstraint, String
from sqlmodel import Field

from services.intake.tables import Table
from shared.db import utc_column
from shared.events.intake import PractitionerChanged


class Practitioner(Table, table=True):
    """A person who works in a clinic."""

    __tablename__ = "practitioner"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinic.clinic_id"]),)

    clinic_id: UUID = Field(primary_key=True)
    practitioner_id: UUID = Field(primary_key=True)
    given_name: str | None = None
    family_name: str | None = None
    roles: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    active: bool = True
    version: int = 1
    registered_at: datetime = Field(sa_column=utc_column())

    def changed(self, at: datetime) -> PractitionerChanged:
        """The whole current state, without the name."""
        return PractitionerChanged(
            occurred_at=at,
            practitioner_id=self.practitioner_id,
            practitioner_version=self.version,
            roles=self.roles,
            active=self.active,
        )
