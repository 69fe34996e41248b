"""What is shown of the audit trail: ids, codes and times."""

from datetime import datetime
from uuid import UUID

from shared.trail.models import TrailEntry
from shared.web import Answer


class AuditEventOut(Answer):
    """One request. A refused one names whom the caller named, whoever that is; ``outcome`` is the status that was answered."""

    audit_event_id: UUID
    recorded_at: datetime
    client_id: str
    practitioner_id: UUID | None
    operation: str
    action: str
    phi: str
    patient_id: UUID | None
    other_patients: int
    """How many patients a list showed besides."""
    subject: str | None
    outcome: int
    request_id: str

    @classmethod
    def of(cls, entry: TrailEntry) -> "AuditEventOut":
        shown = entry.model_dump(exclude={"clinic_id", "patient_ids"})
        return cls(**shown, other_patients=len(entry.patient_ids or ()))
