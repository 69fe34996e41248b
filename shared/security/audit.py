"""The trail of who read and wrote what: a row in the transaction of the deed, so that there is no deed without its row."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import failpoints
from shared.db import is_away
from shared.errors import Unavailable

INSERT = """
    INSERT INTO public.audit_event
        (clinic_id, audit_event_id, client_id, practitioner_id, operation, action, phi, patient_id, subject, outcome, request_id, purpose)
    VALUES (:clinic_id, :audit_event_id, :client_id, :practitioner_id, :operation, :action, :phi, :patient_id, :subject, :outcome,
        :request_id, :purpose)
"""
"""Also used by the statement that stores an idempotent answer (``shared.web.frame``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One row: agent, operation, patient and outcome, never a clinical value. ``action`` is C, R, U, D or E."""

    clinic_id: UUID
    client_id: str
    operation: str
    action: str
    phi: str
    outcome: int
    request_id: str
    practitioner_id: UUID | None = None
    patient_id: UUID | None = None
    subject: str | None = None
    purpose: str | None = None

    def parameters(self) -> dict[str, object]:
        """For ``INSERT``, with an id of its own."""
        return {
            "audit_event_id": uuid4(),
            "clinic_id": self.clinic_id,
            "client_id": self.client_id,
            "practitioner_id": self.practitioner_id,
            "operation": self.operation,
            "action": self.action,
            "phi": self.phi,
            "patient_id": self.patient_id,
            "subject": self.subject,
            "outcome": self.outcome,
            "request_id": self.request_id,
            "purpose": self.purpose,
        }


async def append(db: AsyncSession, row: AuditEvent) -> None:
    """Write a row; the transaction must be inside its clinic. Raises Unavailable (503) when the trail cannot be written."""
    try:
        await db.execute(_INSERT, row.parameters())
    except DBAPIError as error:
        raise unwritable(error) from error
    failpoints.hit("audit.before_commit")


def unwritable(error: DBAPIError) -> Unavailable:
    """What is answered instead of the data."""
    return Unavailable("The database cannot be reached." if is_away(error) else "The audit trail cannot be written.")


_INSERT = text(INSERT)
