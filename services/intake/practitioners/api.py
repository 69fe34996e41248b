from uuid import UUID

from sqlmodel import col, select

from services.intake.practitioners import commands
from services.intake.practitioners.models import Practitioner
from services.intake.practitioners.queries import get_practitioner
from services.intake.practitioners.schemas import ChangePractitioner, PractitionerOut, RegisterPractitioner
from services.intake.roles import ADMINISTRATION, STAFF
from shared.web import Call, Listing, Page, Router, access, page_of

router = Router(prefix="/intake/v1/practitioners", tags=["Practitioner"])


@router.post("", status_code=201)
@access("system/Practitioner.c", system_or_person=ADMINISTRATION)
async def register_practitioner(body: RegisterPractitioner, call: Call) -> PractitionerOut:
    """Register a practitioner with roles."""
    practitioner = await commands.register(call.db, call.now, body)
    call.created(f"/intake/v1/practitioners/{practitioner.practitioner_id}")
    call.etag(practitioner.version)
    return PractitionerOut.model_validate(practitioner)


@router.get("")
@access("system/Practitioner.r", system_or_person=STAFF)
async def list_practitioners(call: Call, page: Page) -> Listing[PractitionerOut]:
    """All practitioners of the clinic, oldest registration first."""
    statement = (
        select(Practitioner)
        .where(Practitioner.clinic_id == call.clinic_id)
        .order_by(col(Practitioner.registered_at), col(Practitioner.practitioner_id))
    )
    return (await page_of(call, statement, page)).listing(PractitionerOut.model_validate)


@router.get("/{practitioner_id}")
@access("system/Practitioner.r", system_or_person=STAFF)
async def read_practitioner(practitioner_id: UUID, call: Call) -> PractitionerOut:
    """One practitioner."""
    practitioner = await get_practitioner(call.db, practitioner_id)
    call.etag(practitioner.version)
    return PractitionerOut.model_validate(practitioner)


@router.patch("/{practitioner_id}")
@access("system/Practitioner.u", system_or_person=ADMINISTRATION)
async def change_practitioner(practitioner_id: UUID, body: ChangePractitioner, call: Call) -> PractitionerOut:
    """Change names, roles or whether the practitioner is active."""
    practitioner = await commands.change(call.db, call.actor, call.now, practitioner_id, body)
    call.etag(practitioner.version)
    return PractitionerOut.model_validate(practitioner)
