"""Who does what in this service, by role. A coordinator sees where a check-in stands and how worrying it is, and no answer."""

from shared.documents.roles import DocumentRoles
from shared.events.intake import Role

CLINICAL = frozenset(
    {
        Role.PRESCRIBER,
        Role.MENTAL_HEALTH_REVIEWER,
        Role.THERAPIST,
        Role.INFUSION_NURSE,
        Role.INTAKE_NURSE,
        Role.ON_CALL_CLINICIAN,
        Role.MEDICAL_DIRECTOR,
    }
)
"""See answers, and the reasons to worry."""

WORKERS = CLINICAL | {Role.COORDINATOR}
"""Work at the queue; which tasks each one may have is the policy's business."""

LEADS = frozenset({Role.COORDINATOR, Role.MEDICAL_DIRECTOR})
"""Put back what somebody else has."""

AUDITORS = frozenset({Role.AUDITOR})
"""Read the trail of who saw and did what, and nothing else."""

DOCUMENTS = DocumentRoles(
    read=frozenset(Role) - AUDITORS,
    write=frozenset({Role.PRESCRIBER, Role.MEDICAL_DIRECTOR, Role.CLINIC_ADMIN}),
    sign=frozenset({Role.MEDICAL_DIRECTOR}),
)
"""Clinical documents hold nothing of a patient. Whoever writes a version does not sign it; a medical director does."""
