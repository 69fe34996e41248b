"""Who does what in this service, by role. A coordinator books and sees when, not what was given and why."""

from shared.security.caller import Caller, role_missing

DESK = ("coordinator", "intake-nurse", "infusion-nurse", "prescriber")
"""Book, move and cancel visits, and check patients in."""

CHAIR = ("infusion-nurse", "prescriber")
"""Run the infusion: readings, pump, discharge."""

RECORD = ("infusion-nurse", "prescriber", "medical-director")
"""Correct what was recorded."""

CLINICAL = frozenset({"intake-nurse", "infusion-nurse", "prescriber", "mental-health-reviewer", "on-call-clinician", "medical-director"})
"""See doses, readings and reasons."""


def sees_clinical(caller: Caller) -> bool:
    """Whether the caller may see clinical content: a clinic system by itself, or for a person with a clinical role."""
    return caller.practitioner_id is None or not CLINICAL.isdisjoint(caller.roles)


def require_clinical(caller: Caller) -> None:
    """Raises 403 role-missing for a named practitioner without a clinical role."""
    if not sees_clinical(caller):
        raise role_missing(CLINICAL)
