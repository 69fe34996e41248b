"""Reading plans, each with the items that follow from it."""

from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from services.followup.checkins.models import CheckIn
from services.followup.plans.models import Plan
from services.followup.plans.schemas import PlanRecord
from services.followup.tasks.models import CareTask
from shared.db import clinic_of
from shared.errors import NotFound


def plans_of(db: AsyncSession, *, patient_id: UUID | None, infusion_id: UUID | None) -> SelectOfScalar[Plan]:
    """Plans of a patient, of an infusion, or all, oldest infusion first."""
    query = select(Plan).where(Plan.clinic_id == clinic_of(db))
    if patient_id is not None:
        query = query.where(Plan.patient_id == patient_id)
    if infusion_id is not None:
        query = query.where(Plan.infusion_id == infusion_id)
    return query.order_by(col(Plan.pump_ended_at), col(Plan.plan_id))


async def get_plan(db: AsyncSession, plan_id: UUID) -> PlanRecord:
    """A plan of this clinic with what follows from it. Raises NotFound."""
    plan = (await db.exec(select(Plan).where(Plan.clinic_id == clinic_of(db), Plan.plan_id == plan_id))).first()
    if plan is None:
        raise NotFound
    about = plan.infusion_id
    tasks = select(CareTask).where(CareTask.clinic_id == clinic_of(db), CareTask.infusion_id == about)
    check_ins = select(CheckIn).where(CheckIn.clinic_id == clinic_of(db), CheckIn.infusion_id == about)
    return PlanRecord(
        plan,
        (await db.exec(tasks.order_by(col(CareTask.due_at), col(CareTask.task_id)))).all(),
        (await db.exec(check_ins.order_by(col(CheckIn.due_at), col(CheckIn.check_in_id)))).all(),
    )
