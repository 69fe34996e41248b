from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from services.intake.consents.rules import ConsentStatus, ConsentType, Standing
from services.intake.patients.rules import RequestedBy
from services.intake.tables import Table, code_column
from shared.db import utc_column
from shared.errors import Conflict
from shared.events.intake import ConsentChanged, ConsentRevoked, ConsentSigned


class Consent(Table, table=True):
    """A signed consent of one type, valid for a time, revocable at any time."""

    __tablename__ = "consent"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patient.clinic_id", "patient.patient_id"]),
        Index("ix_consent_patient_id", "clinic_id", "patient_id"),
    )

    clinic_id: UUID = Field(primary_key=True)
    consent_id: UUID = Field(primary_key=True)
    patient_id: UUID
    consent_type: ConsentType = Field(sa_column=code_column(ConsentType))
    consent_version: str
    signed_at: datetime = Field(sa_column=utc_column())
    valid_until: datetime = Field(sa_column=utc_column())
    recorded_at: datetime = Field(sa_column=utc_column())
    recorded_by: str
    revoked_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    revoked_by: str | None = None
    revocation_requested_by: RequestedBy | None = Field(default=None, sa_column=code_column(RequestedBy, nullable=True))
    version: int = 1

    def signed(self) -> ConsentSigned:
        """What others learn of a new consent."""
        return ConsentSigned(
            occurred_at=self.recorded_at,
            consent_id=self.consent_id,
            patient_id=self.patient_id,
            consent_type=self.consent_type,
            consent_version=self.consent_version,
            signed_at=self.signed_at,
            valid_until=self.valid_until,
        )

    def revoke(self, requested_by: RequestedBy, at: datetime, by: str) -> ConsentRevoked:
        """Take the consent back; an expired one too, so that nobody is ever refused. Raises Conflict when it is revoked already."""
        if self.revoked_at is not None:
            raise Conflict("state", "The consent is revoked already.", extra={"state": ConsentStatus.REVOKED, "allowed": []})
        self.revoked_at, self.revoked_by, self.revocation_requested_by = at, by, requested_by
        self.version += 1
        return ConsentRevoked(occurred_at=at, consent_id=self.consent_id, patient_id=self.patient_id, consent_type=self.consent_type)


class ConsentStanding(Table, table=True):
    """What was last told of a patient's consents of one type: the version, and of how many signatures and revocations it came.

    Where there are more of them, by a release that did not tell it, it is told anew.
    """

    __tablename__ = "consent_standing"
    __table_args__ = (ForeignKeyConstraint(["clinic_id", "patient_id"], ["patient.clinic_id", "patient.patient_id"]),)

    clinic_id: UUID = Field(primary_key=True)
    patient_id: UUID = Field(primary_key=True)
    consent_type: ConsentType = Field(sa_column=code_column(ConsentType, primary_key=True))
    version: int
    facts: int


def consent_changed(patient_id: UUID, consent_type: ConsentType, version: int, standing: Standing, at: datetime) -> ConsentChanged:
    """What others learn of a decision."""
    return ConsentChanged(
        occurred_at=at,
        patient_id=patient_id,
        consent_type=consent_type,
        consent_standing=version,
        standing=standing.status,
        since=standing.since,
        until=standing.until,
        stood=standing.stood,
    )
