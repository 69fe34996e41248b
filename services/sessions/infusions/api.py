"""Routes of infusions, in the order of a visit."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.sessions.infusions import commands, queries
from services.sessions.infusions.answers import EndedInfusion, InfusionOut, shown, taken
from services.sessions.infusions.schemas import (
    CancelInfusion,
    CheckIn,
    CompleteInfusion,
    EndPump,
    LeaveAgainstAdvice,
    NotDone,
    RescheduleInfusion,
    ScheduleInfusion,
    StartInfusion,
    StopEarly,
    TransferPatient,
)
from services.sessions.infusions.states import InfusionState
from services.sessions.limits import LimitsInForce
from services.sessions.roles import CARE, CHAIR, DESK
from shared.web import Call, Listing, Moment, Page, Router, access, page_of, service_access


def visit_routes(limits: LimitsInForce) -> Router:
    """Booking and looking; who comes, and who does not."""
    router = Router(prefix="/sessions/v1", tags=["Infusion"])

    @router.post("/infusions", status_code=201)
    @access("system/Procedure.c", person=DESK, phi="write")
    async def schedule_infusion(body: ScheduleInfusion, call: Call) -> InfusionOut:
        """Book a visit of a patient within a course."""
        booked = await commands.schedule(call.db, call.actor, call.now, body, await limits.at(call.db, call.now, call.now))
        call.created(f"/sessions/v1/infusions/{booked.infusion.infusion_id}")
        return taken(call, booked)

    @router.get("/infusions")
    @access("system/Procedure.r", system_or_person=CARE, phi="read")
    async def list_infusions(
        call: Call,
        page: Page,
        patient_id: UUID | None = None,
        course_id: UUID | None = None,
        state: InfusionState | None = None,
        scheduled_from: Annotated[Moment | None, Query()] = None,
        scheduled_to: Annotated[Moment | None, Query()] = None,
        needs_review: bool | None = None,
    ) -> Listing[InfusionOut]:
        """Infusions by the time of their booking, earliest first; from is inside, to is outside."""
        if patient_id is not None:
            call.patient(patient_id)
        statement = queries.infusions_by_booking(call.clinic_id, patient_id, course_id, state, scheduled_from, scheduled_to, needs_review)
        found = await page_of(call, statement, page)
        return found.listing(lambda infusion: shown(call, infusion))

    @router.get("/infusions/{infusion_id}")
    @access("system/Procedure.r", system_or_person=CARE, phi="read")
    async def read_infusion(infusion_id: UUID, call: Call) -> InfusionOut:
        """One infusion as it stands, with the steps that are possible now."""
        infusion = await queries.get_infusion(call.db, infusion_id)
        call.patient(infusion.patient_id)
        call.etag(infusion.version)
        return shown(call, infusion)

    @router.post("/infusions/{infusion_id}/reschedule")
    @access("system/Procedure.u", person=DESK, phi="write")
    async def reschedule_infusion(infusion_id: UUID, body: RescheduleInfusion, call: Call) -> InfusionOut:
        """Move a booking."""
        in_force = await limits.at(call.db, call.now, call.now)
        return taken(call, await commands.reschedule(call.db, call.actor, call.now, infusion_id, body, in_force))

    @router.post("/infusions/{infusion_id}/cancel")
    @access("system/Procedure.u", person=DESK, phi="write")
    async def cancel_infusion(infusion_id: UUID, body: CancelInfusion, call: Call) -> InfusionOut:
        """Give a booking up before check-in."""
        return taken(call, await commands.cancel(call.db, call.actor, call.now, infusion_id, body))

    @router.post("/infusions/{infusion_id}/no-show")
    @access("system/Procedure.u", person=DESK, phi="write")
    async def mark_no_show(infusion_id: UUID, call: Call) -> InfusionOut:
        """The patient did not come."""
        return taken(call, await commands.no_show(call.db, call.actor, call.now, infusion_id, await limits.at(call.db, call.now, call.now)))

    @router.post("/infusions/{infusion_id}/check-in")
    @access("system/Procedure.u", person=DESK, phi="write")
    async def check_patient_in(infusion_id: UUID, body: CheckIn, call: Call) -> InfusionOut:
        """The patient has arrived."""
        in_force = await limits.at(call.db, call.now, call.now)
        return taken(call, await commands.check_in(call.db, call.actor, call.now, infusion_id, body, in_force))

    @router.post("/infusions/{infusion_id}/not-done")
    @access("system/Procedure.u", person=CHAIR, phi="write")
    async def mark_not_done(infusion_id: UUID, body: NotDone, call: Call) -> InfusionOut:
        """The patient came and no drug was given."""
        return taken(call, await commands.not_done(call.db, call.actor, call.now, infusion_id, body))

    return router


def step_routes(limits: LimitsInForce) -> Router:
    """From the start of the pump to the discharge."""
    router = Router(prefix="/sessions/v1", tags=["Infusion"])

    @router.post("/infusions/{infusion_id}/start")
    @access("system/Procedure.u", person=CHAIR, phi="write")
    async def start_infusion(infusion_id: UUID, body: StartInfusion, call: Call) -> InfusionOut:
        """Start the pump. Refused without consent, on a held course, above a limit that no prescriber has decided about."""
        in_force = await limits.at(call.db, body.pump_started_at, call.now)
        return taken(call, await commands.start(call.db, call.actor, call.now, infusion_id, body, in_force))

    @router.post("/infusions/{infusion_id}/pump-end")
    @access("system/Procedure.u", person=CHAIR, phi="write")
    async def end_pump(infusion_id: UUID, body: EndPump, call: Call) -> InfusionOut:
        """The pump has run to its end; recovery begins."""
        in_force = await limits.at(call.db, call.now, call.now)
        return taken(call, await commands.end_pump(call.db, call.actor, call.now, infusion_id, body, in_force))

    @router.post("/infusions/{infusion_id}/stop-early")
    @access("system/Procedure.u", person=CHAIR, phi="write")
    async def stop_infusion_early(infusion_id: UUID, body: StopEarly, call: Call) -> InfusionOut:
        """The pump was stopped before its time; recovery begins, and its discharge closes the record as stopped-early."""
        in_force = await limits.at(call.db, call.now, call.now)
        return taken(call, await commands.stop_early(call.db, call.actor, call.now, infusion_id, body, in_force))

    @router.post("/infusions/{infusion_id}/complete")
    @access("system/Procedure.u", person=CHAIR, phi="write")
    async def complete_infusion(infusion_id: UUID, body: CompleteInfusion, call: Call) -> InfusionOut:
        """Close the record after discharge."""
        in_force = await limits.at(call.db, call.now, call.now)
        return taken(call, await commands.complete(call.db, call.actor, call.now, infusion_id, body, in_force))

    @router.post("/infusions/{infusion_id}/leave-against-advice")
    @access("system/Procedure.u", person=CHAIR, phi="write")
    async def leave_against_advice(infusion_id: UUID, body: LeaveAgainstAdvice, call: Call) -> InfusionOut:
        """The patient left before discharge."""
        in_force = await limits.at(call.db, call.now, call.now)
        return taken(call, await commands.leave_against_advice(call.db, call.actor, call.now, infusion_id, body, in_force))

    @router.post("/infusions/{infusion_id}/transfer")
    @access("system/Procedure.u", person=CHAIR, phi="write")
    async def transfer_patient(infusion_id: UUID, body: TransferPatient, call: Call) -> InfusionOut:
        """Emergency care took over."""
        in_force = await limits.at(call.db, call.now, call.now)
        return taken(call, await commands.transfer(call.db, call.actor, call.now, infusion_id, body, in_force))

    return router


def audit_routes() -> Router:
    """For the audit of what should have followed."""
    router = Router(prefix="/sessions/v1", tags=["Infusion"])

    @router.get("/ended-infusions")
    @service_access("service/Procedure.r", phi="read")
    async def list_ended_infusions(
        call: Call, page: Page, ended_from: Annotated[Moment, Query()], ended_to: Annotated[Moment, Query()]
    ) -> Listing[EndedInfusion]:
        """What has ended in a time, or was corrected in it after it had ended, for the completeness audit.

        From is inside, to is outside, by the moment at which the record was closed or corrected.
        """
        found = await page_of(call, queries.ended_infusions(call.clinic_id, ended_from, ended_to), page)
        return found.listing(EndedInfusion.of)

    return router
