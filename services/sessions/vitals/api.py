"""Routes of vital signs."""

from uuid import UUID

from services.sessions.infusions.queries import get_infusion
from services.sessions.limits import Limits
from services.sessions.roles import CHAIR, CLINICAL
from services.sessions.vitals import commands, queries
from services.sessions.vitals.schemas import RecordVitalSigns, VitalSignsOut
from shared.web import Call, Listing, Page, Router, access, page_of


def vital_routes(limits: Limits) -> Router:
    """The routes of this slice."""
    router = Router(prefix="/sessions/v1", tags=["Vital signs"])

    @router.post("/infusions/{infusion_id}/vital-signs", status_code=201)
    @access("system/Observation.c", person=CHAIR, phi="write")
    async def record_vital_signs(infusion_id: UUID, body: RecordVitalSigns, call: Call) -> VitalSignsOut:
        """Save the readings of one moment, from check-in to discharge. A charting aid: it raises no alarm."""
        return VitalSignsOut.model_validate(await commands.record_vital_signs(call, infusion_id, body, limits))

    @router.get("/infusions/{infusion_id}/vital-signs")
    @access("system/Observation.r", system_or_person=CLINICAL, phi="read")
    async def list_vital_signs(infusion_id: UUID, call: Call, page: Page) -> Listing[VitalSignsOut]:
        """All readings of an infusion, by the moment they were taken."""
        infusion = await get_infusion(call.db, infusion_id)
        call.patient(infusion.patient_id)
        found = await page_of(call, queries.vital_signs_of(call.clinic_id, infusion_id), page)
        return found.listing(VitalSignsOut.model_validate)

    return router
