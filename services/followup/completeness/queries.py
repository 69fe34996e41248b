"""Reading what the audit of completeness found."""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from services.followup.completeness.models import CompletenessGap, CompletenessRun
from shared.db import clinic_of


def open_gaps(db: AsyncSession) -> SelectOfScalar[CompletenessGap]:
    """What lacked something when it was last looked at, the longest known first."""
    mine = (CompletenessGap.clinic_id == clinic_of(db), col(CompletenessGap.resolved_at).is_(None))
    return select(CompletenessGap).where(*mine).order_by(col(CompletenessGap.first_seen_at), col(CompletenessGap.infusion_id))


async def last_run(db: AsyncSession) -> CompletenessRun | None:
    """The last look at this clinic."""
    return (await db.exec(select(CompletenessRun).where(CompletenessRun.clinic_id == clinic_of(db)))).first()
