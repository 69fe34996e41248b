"""Plans for clinic systems."""

from uuid import UUID

from services.followup.plans import queries
from services.followup.plans.schemas import PlanDetail, PlanOut
from services.followup.roles import WORKERS
from shared.web import Call, Listing, Page, Router, access, page_of

router = Router(prefix="/followup/v1", tags=["CarePlan"])


@router.get("/plans", response_model=Listing[PlanOut])
@access("system/Task.r", system_or_person=WORKERS, phi="read")
async def list_plans(call: Call, page: Page, patient_id: UUID | None = None, infusion_id: UUID | None = None) -> Listing[PlanOut]:
    """Plans of a patient or of one infusion, oldest infusion first."""
    if patient_id is not None:
        call.patient(patient_id)
    wanted = queries.plans_of(call.db, patient_id=patient_id, infusion_id=infusion_id)
    return (await page_of(call, wanted, page)).listing(PlanOut.of)


@router.get("/plans/{plan_id}", response_model=PlanDetail)
@access("system/Task.r", system_or_person=WORKERS, phi="read")
async def show_plan(plan_id: UUID, call: Call) -> PlanDetail:
    """One plan with every task and check-in that follows from it, whatever became of it."""
    record = await queries.get_plan(call.db, plan_id)
    call.patient(record.plan.patient_id)
    call.etag(record.plan.version)
    return PlanDetail.of_record(record)
