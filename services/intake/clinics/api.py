from uuid import UUID

from sqlmodel import col, select

from services.intake.clinics import commands
from services.intake.clinics.models import ClinicEntry
from services.intake.clinics.queries import get_clinic
from services.intake.clinics.schemas import ChangeClinic, ClinicEntryOut, ClinicOut, RegisterClinic
from shared.web import Call, Listing, Page, Router, operator_access, page_of

router = Router(prefix="/intake/v1/clinics", tags=["Organization"])


@router.post("", status_code=201)
@operator_access("system/Organization.c")
async def register_clinic(body: RegisterClinic, call: Call) -> ClinicOut:
    """Register a clinic."""
    clinic = await commands.register(call.db, call.now, body)
    call.created(f"/intake/v1/clinics/{clinic.clinic_id}")
    call.etag(clinic.version)
    return ClinicOut.model_validate(clinic)


@router.get("")
@operator_access("system/Organization.r")
async def list_clinics(call: Call, page: Page) -> Listing[ClinicEntryOut]:
    """All clinics of this installation, oldest first."""
    statement = select(ClinicEntry).order_by(col(ClinicEntry.registered_at), col(ClinicEntry.clinic_id))
    return (await page_of(call, statement, page)).listing(ClinicEntryOut.model_validate)


@router.get("/{clinic_id}")
@operator_access("system/Organization.r")
async def read_clinic(clinic_id: UUID, call: Call) -> ClinicOut:
    """One clinic."""
    clinic = await get_clinic(call.db, clinic_id)
    call.etag(clinic.version)
    return ClinicOut.model_validate(clinic)


@router.patch("/{clinic_id}")
@operator_access("system/Organization.u")
async def change_clinic(clinic_id: UUID, body: ChangeClinic, call: Call) -> ClinicOut:
    """Change a clinic's settings. An inactive clinic's systems get no more tokens, and those they have stop within a second."""
    clinic = await commands.change(call.db, call.actor, call.now, clinic_id, body)
    call.etag(clinic.version)
    return ClinicOut.model_validate(clinic)
