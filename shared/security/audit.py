"""The trail of who read and wrote what: a row in the transaction of the deed, so that there is no deed without its row."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from uuid import UUID, uuid4

from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import failpoints
from shared.db import is_away
from shared.errors import Unavailable

_INTO = """
    INSERT INTO public.audit_event
        (clinic_id, audit_event_id, client_id, practitioner_id, operation, action, phi, patient_ids, subject, outcome, request_id, purpose,
         patient_id)
    VALUES (:clinic_id, :audit_event_id, :client_id, :practitioner_id, :operation, :action, :phi, :patient_ids, :subject, :outcome,
        :request_id, :purpose, {patient_id})
"""
INSERT = _INTO.format(patient_id=":patient_id")
"""Also used by the statement that stores an idempotent answer (``shared.web.frame``)."""


@dataclass(frozen=True, slots=True)
class Record:
    """An id in an address, by its name there, and the table that knows whose record it is."""

    table: str
    name: str
    record_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One row: agent, operation, patient and outcome, never a clinical value. ``action`` is C, R, U, D or E.

    ``patient_id`` is whom the request was about, ``patient_ids`` whom else it showed or asked for: "who saw or tried to see this
    patient" is answered from both.
    """

    clinic_id: UUID
    client_id: str
    operation: str
    action: str
    phi: str
    outcome: int
    request_id: str
    practitioner_id: UUID | None = None
    patient_id: UUID | None = None
    patient_ids: Collection[UUID] = ()
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
            "patient_ids": sorted({*self.patient_ids} - {self.patient_id}) or None,
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


async def append_about(db: AsyncSession, row: AuditEvent, record: Record) -> None:
    """The same for what was refused before the record was read: the statement looks up whose record the id names."""
    try:
        await db.execute(_about(record.table, record.name), {**row.parameters(), "record_id": record.record_id})
    except DBAPIError as error:
        raise unwritable(error) from error


def unwritable(error: DBAPIError) -> Unavailable:
    """What is answered instead of the data."""
    return Unavailable("The database cannot be reached." if is_away(error) else "The audit trail cannot be written.")


@cache
def _about(table: str, name: str) -> TextClause:
    owner = f"SELECT patient_id FROM public.{table} WHERE clinic_id = CAST(:clinic_id AS uuid) AND {name} = CAST(:record_id AS uuid)"  # noqa: S608 - our own names
    return text(_INTO.format(patient_id=f"COALESCE(CAST(:patient_id AS uuid), ({owner}))"))


_INSERT = text(INSERT)
