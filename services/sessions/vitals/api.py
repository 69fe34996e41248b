"""Routes of vital signs."""

from uuid import UUID

from services.sessions.infusions.queries import get_infusion
from services.sessions.limits import LimitsInForce
from services.sessions.roles import CHAIR, CLINICAL, RECORD
from services.sessions.vitals import commands, queries
from services.sessions.vitals.commands import Kept
from services.sessions.vitals.schemas import RecordVitalSigns, StrikeVitalSigns, VitalSignsOut
from shared.web import Call, CallContext, Listing, Page, Router, access, page_of


def vital_routes(limits: LimitsInForce) -> Router:
    router = Router(prefix="/sessions/v1", tags=["Vital signs"])

    @router.post("/infusions/{infusion_id}/vital-signs", status_code=201)
    @access("system/Observation.c", person=CHAIR, phi="write")
    async def record_vital_signs(infusion_id: UUID, body: RecordVitalSigns, call: Call) -> VitalSignsOut:
        """Save the readings of one moment of the visit, also afterwards from paper; unlikely ones are saved and marked.

        A charting aid: it raises no alarm.
        """
        return _shown(call, await commands.record_vital_signs(call.db, call.actor, call.now, infusion_id, body, limits))

    @router.post("/infusions/{infusion_id}/vital-signs/{vital_signs_id}/entered-in-error")
    @access("system/Procedure.u", person=RECORD, corrects=True, phi="write")  # a correction of the visit's record, as an amendment is
    async def strike_vital_signs(infusion_id: UUID, vital_signs_id: UUID, body: StrikeVitalSigns, call: Call) -> VitalSignsOut:
        """Strike readings that are another patient's, or wrong. They stay readable and free no start any more.

        One that they held stays held until all that they had is taken again, or a prescriber decides. The check before a start is judged
        again; what was started and would be held now is marked for review.
        """
        return _shown(call, await commands.strike_vital_signs(call.db, call.actor, call.now, infusion_id, vital_signs_id, body, limits))

    @router.get("/infusions/{infusion_id}/vital-signs")
    @access("system/Observation.r", system_or_person=CLINICAL, phi="read")
    async def list_vital_signs(infusion_id: UUID, call: Call, page: Page, with_struck: bool = False) -> Listing[VitalSignsOut]:
        """The readings of an infusion, by the moment they were taken; ``with_struck`` shows those entered in error too."""
        infusion = await get_infusion(call.db, infusion_id)
        call.patient(infusion.patient_id)
        found = await page_of(call, queries.vital_signs_of(call.clinic_id, infusion_id, with_struck=with_struck), page)
        return found.listing(VitalSignsOut.of)

    return router


def _shown(call: CallContext, kept: Kept) -> VitalSignsOut:
    call.patient(kept.patient_id)
    call.etag(kept.signs.version)
    return VitalSignsOut.of(kept.signs)
