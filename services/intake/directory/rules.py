import hashlib
import hmac
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Refusal(StrEnum):
    """Why nothing may be sent to a patient."""

    DECEASED = "deceased"
    WITHDRAWN = "withdrawn"
    CLINIC_INACTIVE = "clinic-inactive"
    OPTED_OUT = "opted-out"
    CONSENT_MISSING = "consent-missing"
    CONSENT_REVOKED = "consent-revoked"
    CONSENT_EXPIRED = "consent-expired"
    NO_CHANNEL = "no-channel"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the decision needs to know of a patient. ``messaging_consent`` is None when none was ever signed."""

    status: str
    clinic_active: bool
    opted_out: bool
    messaging_consent: str | None
    address: str | None


def refusal(patient: Standing) -> Refusal | None:
    """The gravest reason not to send, or None when sending is allowed."""
    if patient.status != "active":
        return Refusal(patient.status)
    if not patient.clinic_active:
        return Refusal.CLINIC_INACTIVE
    if patient.opted_out:
        return Refusal.OPTED_OUT
    if patient.messaging_consent != "active":
        return Refusal(f"consent-{patient.messaging_consent or 'missing'}")
    return None if patient.address else Refusal.NO_CHANNEL


def birth_date_hash(birth_date: date, salt: bytes) -> str:
    """What a patient link is checked against, so that the birth date itself never leaves this service."""
    return hmac.new(salt, birth_date.isoformat().encode(), hashlib.sha256).hexdigest()
