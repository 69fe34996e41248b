"""Events of intake: who the people, clients, consents and courses are, as far as others must know."""

from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.events.registry import Event, event
from shared.events.zones import ZoneName

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
"""Since when something was so, where no beginning is known: a record is often made after what it tells of."""


class Span(BaseModel):
    """A time in which something was so."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    since: AwareDatetime
    """The first moment; it is inside."""
    until: AwareDatetime | None = None
    """The first moment after it; None while it lasts."""


@event("intake", "clinic.changed", subject=("Organization", "clinic_id"), key="clinic_id")
class ClinicChanged(Event):
    """A clinic was registered or its settings changed; carries the whole current state."""

    clinic_id: UUID
    clinic_version: int
    time_zone: ZoneName
    active: bool


@event("intake", "client.changed", subject=("Client", "client_id"), key="client_id")
class ClientChanged(Event):
    """A machine client was registered, changed or disabled; carries the whole current state."""

    client_id: str
    client_version: int
    active: bool
    may_act_for_practitioners: bool


class Role(StrEnum):
    """What a practitioner does in a clinic; what each may do is declared at the operations. An event may name one that is newer."""

    COORDINATOR = "coordinator"
    INTAKE_NURSE = "intake-nurse"
    INFUSION_NURSE = "infusion-nurse"
    PRESCRIBER = "prescriber"
    MENTAL_HEALTH_REVIEWER = "mental-health-reviewer"
    THERAPIST = "therapist"
    ON_CALL_CLINICIAN = "on-call-clinician"
    MEDICAL_DIRECTOR = "medical-director"
    CLINIC_ADMIN = "clinic-admin"
    AUDITOR = "auditor"


@event("intake", "practitioner.changed", subject=("Practitioner", "practitioner_id"), key="practitioner_id")
class PractitionerChanged(Event):
    """A practitioner was registered, or roles were given or taken; carries the whole current state."""

    practitioner_id: UUID
    practitioner_version: int
    roles: list[str]
    active: bool


@event("intake", "patient.changed", subject=("Patient", "patient_id"), key="patient_id")
class PatientChanged(Event):
    """A patient was registered or changed in a way that others must know; carries the whole current state."""

    patient_id: UUID
    patient_version: int
    patient_number: str
    """The clinic's own running number, shown where the name cannot be had."""
    time_zone: ZoneName
    language: str
    status: str
    """active, withdrawn or deceased."""
    messages_allowed: bool
    """False after an opt-out, or where no electronic channel was agreed."""
    active: list[Span] | None = None
    """When the patient was alive and in the programme, as recorded by now; None from a producer that did not tell it.

    A death ends it with the day of the death where that is known, else when it was recorded; a withdrawal when it was recorded.
    """
    death_corrected: int | None = None
    """The version with which a death was last declared entered in error: a death told with a lower version is none any more."""
    contact_version: int | None = None
    """Grows when messages go another way than before: by another channel or to another address. None from a producer that did not tell."""


@event("intake", "patient.deceased", subject=("Patient", "patient_id"), key="patient_id")
class PatientDeceased(Event):
    """The patient died. Nothing may be sent to them again."""

    patient_id: UUID
    patient_version: int


@event("intake", "patient.withdrawn", subject=("Patient", "patient_id"), key="patient_id")
class PatientWithdrawn(Event):
    """The patient left the programme."""

    patient_id: UUID
    patient_version: int


@event("intake", "consent.signed", subject=("Consent", "consent_id"), key="patient_id")
class ConsentSigned(Event):
    """A consent became valid."""

    consent_id: UUID
    patient_id: UUID
    consent_type: str
    """treatment, messaging or disclosure."""
    consent_version: str
    signed_at: AwareDatetime
    valid_until: AwareDatetime


@event("intake", "consent.revoked", subject=("Consent", "consent_id"), key="patient_id")
class ConsentRevoked(Event):
    """A consent was taken back."""

    consent_id: UUID
    patient_id: UUID
    consent_type: str


@event("intake", "consent.changed", subject=("Patient", "patient_id"), key="patient_id")
class ConsentChanged(Event):
    """Whether a patient's consent of one type stands, all signatures and revocations taken together; carries the whole current state.

    Intake alone decides it. Who acts on consent uses this, and not the single signatures.
    """

    patient_id: UUID
    consent_type: str
    """treatment, messaging or disclosure."""
    consent_standing: int
    """The version: grows with every change of one patient's consent of this type."""
    standing: str
    """active, expired or revoked, when it was told; an active one expires at ``until`` without a further event."""
    since: AwareDatetime
    """From when it stands so."""
    until: AwareDatetime | None
    """The first moment at which an active one stands no more; None for the others."""
    stood: list[Span]
    """When a consent stood, as recorded by now; the standing one is among them."""


@event("intake", "course.changed", subject=("CarePlan", "course_id"), key="patient_id")
class CourseChanged(Event):
    """A course of infusions was started, held, resumed, stopped or completed, or its care team changed; the whole current state."""

    course_id: UUID
    course_version: int
    patient_id: UUID
    status: str
    """active, on-hold, stopped or completed."""
    protocol_code: str
    protocol_version: int
    planned_infusions: int
    responsible_clinician_id: UUID
    therapist_id: UUID | None
    coordinator_id: UUID | None
    ran: list[Span] | None = None
    """When infusions could be started under it, as recorded by now; None from a producer that did not tell it."""
