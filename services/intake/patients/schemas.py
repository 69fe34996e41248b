from datetime import date, datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from services.intake.fields import EmailAddress, LanguageTag, Name, PhoneNumber, Reason, TimeZoneName, absent
from services.intake.patients.models import Patient
from services.intake.patients.rules import Channel, PatientStatus, RequestedBy
from shared.web.schemas import Answer, Body


class SafeContact(Body):
    """What may be left where others could read or hear it. Nothing, unless the patient says so."""

    may_leave_message: bool = False
    neutral_text_only: bool = True


class MayBeTold(StrEnum):
    """How much an emergency contact may learn."""

    EMERGENCY_ONLY = "emergency-only"
    APPOINTMENTS = "appointments"
    CARE = "care"


class EmergencyContact(Body):
    name: Name
    relationship: Name
    phone: PhoneNumber
    may_be_told: MayBeTold = MayBeTold.EMERGENCY_ONLY


class Confirmation(Body):
    """Why two like records are of two people. It answers the refusal ``possible-duplicate``."""

    reason: Reason


class RegisterPatient(Body):
    """A given name, a family name or both: many people have one name."""

    given_name: Name | None = None
    family_name: Name | None = None
    preferred_name: Name | None = None
    birth_date: date
    email: EmailAddress | None = None
    phone: PhoneNumber | None = None
    language: LanguageTag = "en"
    time_zone: TimeZoneName
    preferred_channel: Channel
    safe_contact: SafeContact = SafeContact()
    emergency_contact: EmergencyContact | None = None
    duplicate_confirmation: Confirmation | None = None


class ChangePatient(Body):
    """Only what is sent is changed. ``safe_contact`` and ``emergency_contact`` are replaced as a whole."""

    given_name: Name | None = None
    family_name: Name | None = None
    preferred_name: Name | None = None
    birth_date: date = absent()
    email: EmailAddress | None = None
    phone: PhoneNumber | None = None
    language: LanguageTag = absent()
    time_zone: TimeZoneName = absent()
    preferred_channel: Channel = absent()
    safe_contact: SafeContact = absent()
    emergency_contact: EmergencyContact | None = None
    duplicate_confirmation: Confirmation | None = None


class RecordDeath(Body):
    """``died_on`` may be unknown."""

    died_on: date | None = None


class RecordWithdrawal(Body):
    requested_by: RequestedBy
    reason: Reason | None = None


class EnteredInError(Body):
    """Why the record is wrong, in words for those who read it later."""

    reason: Reason


class OptOut(Body):
    requested_by: RequestedBy
    reason: Reason | None = None


class OptIn(Body):
    """An opt-out is taken back by the patient's side only; the clinic records it."""

    requested_by: Literal[RequestedBy.PATIENT, RequestedBy.LEGAL_REPRESENTATIVE]


class SafeContactOut(Answer):
    may_leave_message: bool
    neutral_text_only: bool


class EmergencyContactOut(Answer):
    name: str
    relationship: str
    phone: str
    may_be_told: MayBeTold


class PatientOut(Answer):
    patient_id: UUID
    patient_number: str
    given_name: str | None
    family_name: str | None
    preferred_name: str | None
    birth_date: date
    email: str | None
    phone: str | None
    language: str
    time_zone: str
    preferred_channel: Channel
    safe_contact: SafeContactOut
    emergency_contact: EmergencyContactOut | None
    status: PatientStatus
    status_changed_at: datetime
    status_changed_by: str
    died_on: date | None
    opted_out: bool
    version: int
    registered_at: datetime

    @classmethod
    def of(cls, patient: Patient) -> "PatientOut":
        """The answer for a patient's row, with the contact flags together."""
        flags = SafeContactOut(may_leave_message=patient.may_leave_message, neutral_text_only=patient.neutral_text_only)
        row = {name: getattr(patient, name) for name in cls.model_fields if name != "safe_contact"}
        return cls.model_validate({**row, "safe_contact": flags})
