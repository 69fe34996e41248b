"""Who does what in this service, by role. A coordinator books and sees when, not what was given and why."""

from shared.documents.roles import DocumentRoles
from shared.events.intake import Role
from shared.security.caller import Caller

DESK = frozenset({Role.COORDINATOR, Role.INTAKE_NURSE, Role.INFUSION_NURSE, Role.PRESCRIBER})
"""Book, move and cancel visits, and check patients in."""

CHAIR = frozenset({Role.INFUSION_NURSE, Role.PRESCRIBER})
"""Run the infusion: readings, pump, discharge."""

RECORD = frozenset({Role.INFUSION_NURSE, Role.PRESCRIBER, Role.MEDICAL_DIRECTOR})
"""Correct what was recorded."""

DECIDES = frozenset({Role.PRESCRIBER, Role.MEDICAL_DIRECTOR})
"""Look at a record that needs review, and say what came of it."""

CLINICAL = frozenset(
    {Role.INTAKE_NURSE, Role.INFUSION_NURSE, Role.PRESCRIBER, Role.MENTAL_HEALTH_REVIEWER, Role.ON_CALL_CLINICIAN, Role.MEDICAL_DIRECTOR}
)
"""See doses, readings and reasons."""

CARE = CLINICAL | {Role.COORDINATOR, Role.THERAPIST}
"""See when visits are and how they ended."""

AUDITORS = frozenset({Role.AUDITOR})
"""Read the trail of who saw and did what, and nothing else."""

DOCUMENTS = DocumentRoles(
    read=frozenset(Role) - AUDITORS,
    write=frozenset({Role.PRESCRIBER, Role.MEDICAL_DIRECTOR, Role.CLINIC_ADMIN}),
    sign=frozenset({Role.MEDICAL_DIRECTOR}),
)
"""Clinical documents hold nothing of a patient. Whoever writes a version does not sign it; a medical director does."""


def sees_clinical(caller: Caller) -> bool:
    """Whether the caller may see clinical content: a clinic system by itself, or for a person with a clinical role."""
    return caller.practitioner_id is None or not CLINICAL.isdisjoint(caller.roles)
