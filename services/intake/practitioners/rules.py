from enum import StrEnum


class Role(StrEnum):
    """What a practitioner does in a clinic; what each may do is declared at the operations."""

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
