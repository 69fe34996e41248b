"""Plans for clinic systems."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.followup.completeness.queries import clinics
from services.followup.plans import queries
from services.followup.plans.comparison import Place, compare_everywhere
from services.followup.plans.means import Means
from services.followup.plans.origins import origin_of
from services.followup.plans.schemas import Differences, OriginOut, PlanDetail, PlanOut
from services.followup.roles import WORKERS
from shared.web import Call, Listing, Page, Router, access, operator_access, page_of

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


def origin_routes(means: Means) -> Router:
    """Why something is there, for whoever works with it."""
    routes = Router(prefix="/followup/v1", tags=["CarePlan"])

    async def shown(call: Call, item_id: UUID) -> OriginOut:
        origin = await origin_of(call.db, await means.in_clinic(call.db), item_id)
        call.patient(origin.patient_id)
        return OriginOut.of(origin)

    @routes.get("/tasks/{task_id}/origin")
    @access("system/Task.r", system_or_person=WORKERS, phi="read")
    async def show_origin_of_task(task_id: UUID, call: Call) -> OriginOut:
        """Why a task is there: the event, the entry of which protocol and version, and the moment from which it counts."""
        return await shown(call, task_id)

    @routes.get("/check-ins/{check_in_id}/origin")
    @access("system/Task.r", system_or_person=WORKERS, phi="read")
    async def show_origin_of_check_in(check_in_id: UUID, call: Call) -> OriginOut:
        """Why a check-in is there, in the same words."""
        return await shown(call, check_in_id)

    return routes


def comparison_routes(means: Means) -> Router:
    """The operator's side: whether a comparison of whole patients would leave what is there."""
    routes = Router(prefix="/followup/v1/pipeline", tags=["Pipeline"])

    @routes.get("/differences")
    @operator_access("system/Pipeline.r")
    async def show_differences(
        call: Call,
        after: Annotated[str | None, Query(pattern=_PLACE, description="From `next_after` of the part before.")] = None,
        limit: Annotated[int, Query(ge=1, le=200, description="Patients looked at in one part.")] = 100,
    ) -> Differences:
        """What the comparison would change, patient by patient: ids and codes, nothing of what anybody answered. Nothing is written."""
        behind = None if after is None else Place(*map(UUID, after.split("/")))
        return Differences.of(await compare_everywhere(call.db, means, await clinics(call.db), behind, limit), limit)

    return routes


_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PLACE = f"^{_UUID}/{_UUID}$"
