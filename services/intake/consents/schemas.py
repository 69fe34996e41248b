from collections.abc import Iterable
from datetime import datetime
from typing import Annotated
from uuid import UUID

from services.intake.consents.models import Consent
from services.intake.consents.rules import ConsentStatus, ConsentType, standing, status_of, taken_back_at
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
    """Of this signature: ``revoked`` too where a revocation of another one of the type took it back."""
    standing: ConsentStatus
    """Of the patient's consent of this type, all signatures and revocations taken together. What others go by."""
    taken_back_at: datetime | None
    """When this signature was taken back, by its own revocation or another one's of the type."""
    note: str | None
    """Why this signature does not stand though it was not revoked itself."""
    signed_at: datetime
    valid_until: datetime
    recorded_at: datetime
    recorded_by: str
    revoked_at: datetime | None
    revoked_by: str | None
    revocation_requested_by: RequestedBy | None
    version: int

    @classmethod
    def of(cls, consent: Consent, of_patient: Iterable[Consent], now: datetime) -> "ConsentOut":
        """The answer for a consent's row, judged among all of the patient's; whether it has expired depends on the moment."""
        of_type = [other for other in of_patient if other.consent_type == consent.consent_type]
        together, taken_back = standing(of_type, now), taken_back_at(consent, of_type)
        assert together is not None
        judged: dict[str, object] = {
            "status": status_of(consent, of_type, now),
            "standing": together.status,
            "taken_back_at": taken_back,
            "note": _TAKEN_BACK if taken_back is not None and consent.revoked_at is None else None,
        }
        return cls.model_validate({**{name: getattr(consent, name) for name in cls.model_fields if name not in judged}, **judged})


_TAKEN_BACK = (
    "Consent of this type was taken back at or after this signature, and with it everything signed up to then. "
    "This signature does not stand; only one made after the revocation does."
)
