"""Check-ins for clinic systems. Coordinators see state and level, clinical roles also the answers."""

from uuid import UUID

from services.followup.checkins import queries
from services.followup.checkins.forms import Forms
from services.followup.checkins.schemas import CheckInDetail, CheckInOut, shown
from services.followup.roles import WORKERS
from shared.web import Call, Listing, Page, Router, access, page_of

SCOPE = "system/QuestionnaireResponse.r"


def check_in_routes(forms: Forms) -> Router:
    router = Router(prefix="/followup/v1", tags=["CheckIn"])

    @router.get("/check-ins", response_model=Listing[CheckInOut])
    @access(SCOPE, person=WORKERS, phi="read")
    async def list_check_ins(patient_id: UUID, page: Page, call: Call) -> Listing[CheckInOut]:
        """A patient's check-ins, oldest first: where they stand and how worrying the answers are."""
        call.patient(patient_id)
        return (await page_of(call, queries.check_ins_of(call.db, patient_id), page)).listing(shown)

    @router.get("/check-ins/{check_in_id}", response_model=CheckInDetail)
    @access(SCOPE, person=WORKERS, phi="read")
    async def show_check_in(check_in_id: UUID, call: Call) -> CheckInDetail:
        """One check-in. Answers and the reasons to worry are shown to clinical roles only; to others they are null."""
        record = await queries.get_record(call.db, check_in_id, roles=call.caller.roles)
        call.patient(record.check_in.patient_id)
        call.etag(record.check_in.version)
        return CheckInDetail.of_record(record, forms)

    return router
