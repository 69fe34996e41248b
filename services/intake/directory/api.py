from services.intake.directory import queries
from services.intake.directory.schemas import AskContact, AskNames, AskPageFacts, Contact, Names, PageFacts
from shared.web import Call, Router, service_access

router = Router(prefix="/intake/v1/directory", tags=["Directory"])


@router.post("/names")
@service_access("service/Directory.r", phi="read")
async def names(body: AskNames, call: Call) -> Names:
    """Display names of up to 200 patients, for a page that is being shown."""
    call.saw(body.patient_ids)
    return await queries.names_of(call.db, body.patient_ids)


@router.post("/contact")
@service_access("service/Directory.r", phi="read")
async def contact(body: AskContact, call: Call) -> Contact:
    """How to reach a patient at this moment, or why nothing may be sent. To be asked again before every message."""
    call.patient(body.patient_id)
    return await queries.contact_of(call.db, body.patient_id, call.now)


@router.post("/page-facts")
@service_access("service/Directory.r", phi="read")
async def page_facts(body: AskPageFacts, call: Call) -> PageFacts:
    """What a patient's page shows and checks at this moment: the clinic's names and numbers, the birth date as a salted hash."""
    call.patient(body.patient_id)
    return await queries.page_facts_of(call.db, body.patient_id)
