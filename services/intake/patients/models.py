from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Column, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.intake.patients.rules import (
    Change,
    Channel,
    PatientStatus,
    RequestedBy,
    active_spans,
    allowed_changes,
    display_name,
    end_of_life,
    message_address,
    messages_allowed,
)
from services.intake.tables import Table, code_column
from shared.db import utc_column
from shared.errors import Conflict
from shared.events.intake import PatientChanged, PatientDeceased, PatientWithdrawn


class Patient(Table, table=True):
    """A patient of one clinic. Name and contact details never leave this table but through the API and the directory."""

    __tablename__ = "patient"
    __table_args__ = (
        UniqueConstraint("clinic_id", "patient_number"),
        ForeignKeyConstraint(["clinic_id"], ["clinic.clinic_id"]),
        Index("ix_patient_birth_date", "clinic_id", "birth_date"),
        Index("ix_patient_untold", "clinic_id", "patient_id", postgresql_where=text("told_version IS DISTINCT FROM version")),
    )

    clinic_id: UUID = Field(primary_key=True)
    patient_id: UUID = Field(primary_key=True)
    patient_number: str
    given_name: str | None = None
    family_name: str | None = None
    preferred_name: str | None = None
    birth_date: date
    email: str | None = None
    phone: str | None = None
    language: str
    time_zone: str
    preferred_channel: Channel = Field(sa_column=code_column(Channel))
    may_leave_message: bool = False
    neutral_text_only: bool = True
    emergency_contact: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))  # Any: JSON
    status: PatientStatus = Field(default=PatientStatus.ACTIVE, sa_column=code_column(PatientStatus))
    status_changed_at: datetime = Field(sa_column=utc_column())
    status_changed_by: str
    withdrawn_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    deceased_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    """When the death was recorded."""
    died_on: date | None = None
    death_corrected: int | None = None
    """The version with which a recorded death was last declared entered in error."""
    opted_out: bool = False
    contact_version: int = 1
    """Grows when messages go another way than before, so that others learn of it without learning the way."""
    version: int = 1
    told_version: int | None = None
    """The version that was told last by a release that tells ``active``. Another one was made by a release before, and is told again."""
    registered_at: datetime = Field(sa_column=utc_column())

    def die(self, died_on: date | None, at: datetime, by: str) -> PatientDeceased:
        """Record the death: nothing may be sent any more. Raises Conflict when it is recorded already."""
        self._require(Change.DEATH)
        self._become(PatientStatus.DECEASED, at, by)
        self.died_on, self.deceased_at = died_on, at
        return PatientDeceased(occurred_at=at, patient_id=self.patient_id, patient_version=self.version)

    def withdraw(self, at: datetime, by: str) -> PatientWithdrawn:
        """Record that the patient left the programme. Raises Conflict unless active."""
        self._require(Change.WITHDRAWAL)
        self._become(PatientStatus.WITHDRAWN, at, by)
        self.withdrawn_at = at
        return PatientWithdrawn(occurred_at=at, patient_id=self.patient_id, patient_version=self.version)

    def take_back(self, mistake: Change, at: datetime, by: str) -> None:
        """A death or a withdrawal was entered in error; who left before a death has left still. Raises Conflict where none is recorded."""
        self._require(mistake)
        died = mistake is Change.DEATH_ENTERED_IN_ERROR
        if not died:
            self.withdrawn_at = None
        self._become(PatientStatus.WITHDRAWN if self.withdrawn_at else PatientStatus.ACTIVE, at, by)
        if died:
            self.died_on, self.deceased_at, self.death_corrected = None, None, self.version

    def opt(self, change: Change) -> None:
        """Record an opt-out of messages, or an opt-in after one. Raises Conflict when that is so already."""
        self._require(change)
        self.opted_out = change is Change.MESSAGE_OPT_OUT
        self.version += 1

    def correct(self, at: datetime, **fields: object) -> PatientChanged:
        """Change names, contact details and the like. Raises Conflict after death: the chart is read-only."""
        if self.status is PatientStatus.DECEASED:
            raise self._refusal("A deceased patient's chart is read-only.")
        before = self.preferred_channel, self.message_address
        for name, value in fields.items():
            setattr(self, name, value)
        self.contact_version += (self.preferred_channel, self.message_address) != before
        self.version += 1
        return self.changed(at)

    def tell_again(self, at: datetime) -> PatientChanged:
        """The current state under a new version, so that those who know the version before take it over.

        What a replica of the release before has changed may be the address, which it does not count.
        """
        self.contact_version += self.told_version is not None
        self.version += 1
        return self.changed(at)

    def require_alive(self) -> None:
        """Raises Conflict after death."""
        if self.status is PatientStatus.DECEASED:
            raise self._refusal("The patient has died.")

    def require_active(self) -> None:
        """Raises Conflict for a patient who has died or has left the programme."""
        if self.status is not PatientStatus.ACTIVE:
            raise self._refusal("The patient is not active.")

    def changed(self, at: datetime) -> PatientChanged:
        """The whole current state, as far as other services may know it; this version counts as told."""
        self.told_version = self.version
        return PatientChanged(
            occurred_at=at,
            patient_id=self.patient_id,
            patient_version=self.version,
            patient_number=self.patient_number,
            time_zone=self.time_zone,
            language=self.language,
            status=self.status,
            messages_allowed=messages_allowed(self.status, self.preferred_channel, opted_out=self.opted_out),
            active=active_spans(self._ends()),
            death_corrected=self.death_corrected,
            contact_version=self.contact_version,
        )

    @property
    def message_address(self) -> str | None:
        """Where a message by machine goes; None where none goes."""
        return message_address(self.preferred_channel, email=self.email, phone=self.phone)

    @property
    def display_name(self) -> str:
        """How coordinators see the patient."""
        return display_name(self.given_name, self.family_name, preferred=self.preferred_name)

    def _ends(self) -> list[datetime]:
        """What ended the patient's time in the programme. The release before kept only the time of the last change of the status."""
        ends = [self.withdrawn_at or self.status_changed_at] if self.withdrawn_at or self.status is PatientStatus.WITHDRAWN else []
        if self.status is PatientStatus.DECEASED:
            ends.append(end_of_life(self.died_on, self.deceased_at or self.status_changed_at, ZoneInfo(self.time_zone)))
        return ends

    def _become(self, status: PatientStatus, at: datetime, by: str) -> None:
        self.status, self.status_changed_at, self.status_changed_by = status, at, by
        self.version += 1

    def _require(self, change: Change) -> None:
        if change not in allowed_changes(self.status, opted_out=self.opted_out):
            raise self._refusal("This cannot be recorded for the patient now.")

    def _refusal(self, detail: str) -> Conflict:
        allowed = allowed_changes(self.status, opted_out=self.opted_out)
        code = "state" if self.status is PatientStatus.ACTIVE else f"patient-{self.status}"
        return Conflict(code, detail, extra={"state": self.status, "allowed": allowed})


class DistinctPatients(Table, table=True):
    """Two like records that somebody said are of two people: when, by whom and why. Never changed, and not asked again."""

    __tablename__ = "distinct_patients"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patient.clinic_id", "patient.patient_id"]),
        Index("ix_distinct_patients_other", "clinic_id", "other_patient_id"),
    )

    clinic_id: UUID = Field(primary_key=True)
    patient_id: UUID = Field(primary_key=True)
    other_patient_id: UUID = Field(primary_key=True)
    """No foreign key: its lock on the other's row would wait for a change of that one, which waits for us (``duplicates.LOCK``)."""
    decided_at: datetime = Field(sa_column=utc_column())
    decided_by: str
    reason: str


class PatientChange(Table, table=True):
    """One recorded death, withdrawal, correction of either, opt-out or opt-in: when, by whom, at whose request, why. Never changed."""

    __tablename__ = "patient_change"
    __table_args__ = (ForeignKeyConstraint(["clinic_id", "patient_id"], ["patient.clinic_id", "patient.patient_id"]),)

    clinic_id: UUID = Field(primary_key=True)
    patient_change_id: UUID = Field(primary_key=True)
    patient_id: UUID
    change: Change = Field(sa_column=code_column(Change))
    changed_at: datetime = Field(sa_column=utc_column())
    changed_by: str
    requested_by: RequestedBy | None = Field(default=None, sa_column=code_column(RequestedBy, nullable=True))
    reason: str | None = None
    died_on: date | None = None
    """The day of a death, as it was recorded."""


class PatientCounter(Table, table=True):
    """The last patient number that a clinic gave out."""

    __tablename__ = "patient_counter"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinic.clinic_id"]),)

    clinic_id: UUID = Field(primary_key=True)
    last_number: int
