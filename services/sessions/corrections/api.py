"""Routes of corrections and of what a record said before."""

from uuid import UUID

from services.sessions.corrections import commands, queries
from services.sessions.corrections.schemas import (
    AmendInfusion,
    ConfirmEnteredInError,
    InfusionVersionOut,
    RequestEnteredInError,
    RestoreVisit,
    WithdrawEnteredInError,
)
from services.sessions.infusions import reviews
from services.sessions.infusions.answers import InfusionOut, taken
from services.sessions.infusions.queries import get_infusion
from services.sessions.infusions.schemas import SettleReview
from services.sessions.limits import LimitsInForce
from services.sessions.roles import CLINICAL, DECIDES, DESK, RECORD
from shared.web import Call, Listing, Page, Router, access, page_of


def correction_routes(limits: LimitsInForce) -> Router:
    router = Router(prefix="/sessions/v1", tags=["Infusion"])

    @router.post("/infusions/{infusion_id}/amend")
    @access("system/Procedure.u", person=RECORD, corrects=True, phi="write")
    async def amend_infusion(infusion_id: UUID, body: AmendInfusion, call: Call) -> InfusionOut:
        """Correct the record of an ended infusion, as a new version with its reason. What it said before stays readable."""
        in_force = await limits.at(call.db, body.pump_started_at or call.now, call.now)
        return taken(call, await commands.amend(call.db, call.actor, call.now, infusion_id, body, in_force))

    @router.post("/infusions/{infusion_id}/entered-in-error")
    @access("system/Procedure.u", person=RECORD, corrects=True, phi="write")
    async def request_entered_in_error(infusion_id: UUID, body: RequestEnteredInError, call: Call) -> InfusionOut:
        """Say that this record should never have existed. Nothing changes until another person confirms."""
        return taken(call, await commands.request_entered_in_error(call.db, call.actor, call.now, infusion_id, body))

    @router.post("/infusions/{infusion_id}/entered-in-error/confirm")
    @access("system/Procedure.u", person=RECORD, corrects=True, phi="write")
    async def confirm_entered_in_error(infusion_id: UUID, body: ConfirmEnteredInError, call: Call) -> InfusionOut:
        """Agree, as a second person, that this record should never have existed."""
        return taken(call, await commands.confirm_entered_in_error(call.db, call.actor, call.now, infusion_id, body))

    @router.post("/infusions/{infusion_id}/entered-in-error/withdraw")
    @access("system/Procedure.u", person=RECORD, corrects=True, phi="write")
    async def withdraw_entered_in_error(infusion_id: UUID, body: WithdrawEnteredInError, call: Call) -> InfusionOut:
        """Take back the request that nobody has confirmed yet: the record is right after all."""
        return taken(call, await commands.withdraw_entered_in_error(call.db, call.actor, call.now, infusion_id, body))

    @router.post("/infusions/{infusion_id}/restore")
    @access("system/Procedure.u", person=DESK, corrects=True, phi="write")
    async def restore_visit(infusion_id: UUID, body: RestoreVisit, call: Call) -> InfusionOut:
        """Take back a check-in, cancellation, no-show or "not done" that was a mistake. What was saved meanwhile stays readable."""
        in_force = await limits.at(call.db, call.now, call.now)
        return taken(call, await commands.restore(call.db, call.actor, call.now, infusion_id, body, in_force))

    @router.post("/infusions/{infusion_id}/review")
    @access("system/Procedure.u", person=DECIDES, corrects=True, phi="write")
    async def settle_review(infusion_id: UUID, body: SettleReview, call: Call) -> InfusionOut:
        """Say what came of looking at a record that needs review. The mark stays readable, settled."""
        return taken(call, await reviews.settle(call.db, call.actor, call.now, infusion_id, body))

    @router.get("/infusions/{infusion_id}/versions")
    @access("system/Procedure.r", system_or_person=CLINICAL, phi="read")
    async def list_versions(infusion_id: UUID, call: Call, page: Page) -> Listing[InfusionVersionOut]:
        """Everything that the record has ever said, by whom and why, the first version first."""
        infusion = await get_infusion(call.db, infusion_id)
        call.patient(infusion.patient_id)
        found = await page_of(call, queries.versions_of(call.clinic_id, infusion_id), page)
        return found.listing(InfusionVersionOut.of)

    return router
