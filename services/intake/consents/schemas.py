from datetime import datetime
from typing import Annotated
from uuid import UUID

from services.intake.consents.models import Consent
from services.intake.consents.rules import ConsentStatus, ConsentType, status_of
from services.intake.patients.rules import RequestedBy
from shared.web.schemas import Answer, Body, Moment, Text


class SignConsent(Body):
    """``consent_version`` names the wording that was signed, as the clinic files it."""

    consent_type: ConsentType
    consent_version: Annotated[str, Text(40)]
    signed_at: Moment


class RevokeConsent(Body):
    requested_by: RequestedBy


class ConsentOut(Answer):
    consent_id: UUID
    patient_id: UUID
    consent_type: ConsentType
    consent_version: str
    status: ConsentStatus
    signed_at: datetime
    valid_until: datetime
    recorded_at: datetime
    recorded_by: str
    revoked_at: datetime | None
    revoked_by: str | None
    revocation_requested_by: RequestedBy | None
    version: int

    @classmethod
    def of(cls, consent: Consent, now: datetime) -> "ConsentOut":
        """The answer for a consent's row; whether it has expired depends on the moment."""
        row = {name: getattr(consent, name) for name in cls.model_fields if name != "status"}
        return cls.model_validate({**row, "status": status_of(consent, now)})
