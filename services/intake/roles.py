"""Who does what in this service, by role.

Coordinators work with people, consents and bookings; a clinic's administrator with its staff, and sees no patient; an auditor reads
the trail alone.
"""

from shared.documents.roles import DocumentRoles
from shared.events.intake import Role

RESPONSIBLE = frozenset({Role.PRESCRIBER, Role.MENTAL_HEALTH_REVIEWER, Role.MEDICAL_DIRECTOR})
"""Decide about a course."""

COORDINATORS = frozenset({Role.COORDINATOR})

THERAPISTS = frozenset({Role.THERAPIST})

CARE = RESPONSIBLE | COORDINATORS | THERAPISTS | {Role.INTAKE_NURSE, Role.INFUSION_NURSE, Role.ON_CALL_CLINICIAN}
"""Care for patients and know who they are. They may all set what is safe: a hold, a revocation, an opt-out, a death that they learn of."""

SEARCH = CARE - {Role.ON_CALL_CLINICIAN}
"""Look through all patients. Who is on call reads the patient whose escalation it is."""

DESK = RESPONSIBLE | COORDINATORS | {Role.INTAKE_NURSE, Role.INFUSION_NURSE}
"""Register patients, keep their details right, and enter what they sign."""

CORRECTING = RESPONSIBLE | {Role.ON_CALL_CLINICIAN}
"""Declare that a death or a withdrawal was entered in error: care begins again with it, so a clinician does."""

CARE_PLANNERS = RESPONSIBLE | COORDINATORS
"""Change who cares within a course; what is planned in it only the responsible roles change."""

ADMINISTRATION = frozenset({Role.CLINIC_ADMIN, Role.MEDICAL_DIRECTOR})
"""Register staff, and give and take roles."""

STAFF = frozenset(Role)
"""Know who works in the clinic."""

AUDITORS = frozenset({Role.AUDITOR})
"""Read the trail of who saw and did what, and nothing else."""

DOCUMENTS = DocumentRoles(
    read=frozenset(Role) - AUDITORS,
    write=frozenset({Role.PRESCRIBER, Role.MEDICAL_DIRECTOR, Role.CLINIC_ADMIN}),
    sign=frozenset({Role.MEDICAL_DIRECTOR}),
)
"""Clinical documents hold nothing of a patient. Whoever writes a version does not sign it; a medical director does."""
