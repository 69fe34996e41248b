"""The operation under ``/<service>/v1/audit-events``: for auditors, and for a clinic's system that keeps a trail of its own."""

from collections.abc import Collection
from typing import Annotated
from uuid import UUID

from fastapi import Query

from shared.service import Service
from shared.trail.queries import trail
from shared.trail.schemas import AuditEventOut
from shared.web import Call, Listing, Moment, Page, Router, access, page_of


def with_trail(service: Service, *, readers: Collection[str]) -> Service:
    """The service with its audit trail beside its own operations, for people with one of these roles."""
    service.routers = [*service.routers, routes(service.name, readers)]
    return service


def routes(service: str, readers: Collection[str]) -> Router:
    """The routes of one service's trail."""
    router = Router(prefix=f"/{service}/v1", tags=["Audit"])

    @router.get("/audit-events")
    @access("system/Audit.r", system_or_person=readers, phi="read")
    async def list_audit_events(
        call: Call,
        page: Page,
        patient_id: UUID | None = None,
        practitioner_id: UUID | None = None,
        recorded_from: Annotated[Moment | None, Query()] = None,
        recorded_to: Annotated[Moment | None, Query()] = None,
    ) -> Listing[AuditEventOut]:
        """Who saw, changed or was refused what in this service, the newest first; from is inside, to is outside.

        A patient's trail holds the requests about them and the lists on which they were shown. Reading it leaves a row too.
        """
        if patient_id is not None:
            call.patient(patient_id)
        wanted = trail(call.clinic_id, patient_id=patient_id, practitioner_id=practitioner_id, since=recorded_from, until=recorded_to)
        return (await page_of(call, wanted, page)).listing(AuditEventOut.of)

    return router
