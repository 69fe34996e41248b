from datetime import datetime
from uuid import UUID

from sqlmodel import Field

from services.intake.tables import Table
from shared.db import utc_column
from shared.events.intake import ClinicChanged


class Clinic(Table, table=True):
    """A clinic, as far as intake and patients see it."""

    __tablename__ = "clinic"

    clinic_id: UUID = Field(primary_key=True)
    name: str
    time_zone: str
    phone: str
    sender_name: str
    crisis_line: str
    active: bool = True
    version: int = 1
    registered_at: datetime = Field(sa_column=utc_column())

    def changed(self, at: datetime) -> ClinicChanged:
        """What other services may know of the current state."""
        return ClinicChanged(
            occurred_at=at, clinic_id=self.clinic_id, clinic_version=self.version, time_zone=self.time_zone, active=self.active
        )


class ClinicEntry(Table, table=True):
    """The operators' index of clinics: row-level security hides the clinics themselves from anybody who is not inside one."""

    __tablename__ = "clinic_entry"
    __table_args__ = ({"schema": "platform"},)

    clinic_id: UUID = Field(primary_key=True)
    name: str
    active: bool = True
    registered_at: datetime = Field(sa_column=utc_column())
