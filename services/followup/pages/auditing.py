"""The trail of what came in by a link."""

from fastapi import Request
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.pages.commands import Opened
from shared.security.audit import AuditEvent, append
from shared.web.marks import marks_of

_LINK_HOLDER = "patient-link"


async def audited(db: AsyncSession, request: Request, opened: Opened, operation: str, outcome: int) -> None:
    """Whoever holds a link acts as the patient, and the row says no more than that."""
    row = AuditEvent(
        clinic_id=opened.link.clinic_id,
        client_id=_LINK_HOLDER,
        operation=operation,
        action="C",
        phi="write",
        outcome=outcome,
        request_id=marks_of(request.scope).request_id,
        patient_id=opened.check_in.patient_id,
        subject=f"CheckIn/{opened.check_in.check_in_id}",
    )
    await append(db, row)
