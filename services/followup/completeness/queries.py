"""Reading what the audit of completeness found."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from services.followup.completeness.models import CompletenessGap, CompletenessRun
from services.followup.completeness.schemas import ClinicAudit, RunOut
from shared.db import clinic_of, enter_clinic
from shared.security.caller import OUTSIDE_CLINICS


def open_gaps(db: AsyncSession) -> SelectOfScalar[CompletenessGap]:
    """What lacked something when it was last looked at, the longest known first."""
    mine = (CompletenessGap.clinic_id == clinic_of(db), col(CompletenessGap.resolved_at).is_(None))
    return select(CompletenessGap).where(*mine).order_by(col(CompletenessGap.first_seen_at), col(CompletenessGap.infusion_id))


async def last_run(db: AsyncSession) -> CompletenessRun | None:
    """The last look at this clinic."""
    return (await db.exec(select(CompletenessRun).where(CompletenessRun.clinic_id == clinic_of(db)))).first()


async def compared_until(db: AsyncSession) -> datetime | None:
    """Up to when this clinic has been compared; None before the first look."""
    run = await last_run(db)
    return None if run is None else run.compared_until


async def clinics(db: AsyncSession) -> list[UUID]:
    """Every clinic that is known here."""
    return list((await db.execute(_CLINICS, {"outside": OUTSIDE_CLINICS})).scalars())


async def found_everywhere(db: AsyncSession) -> list[ClinicAudit]:
    """The last look at every clinic, from outside of them: one after the other is entered, and then left."""
    found = []
    for clinic_id in await clinics(db):
        await enter_clinic(db, clinic_id)
        run = await last_run(db)
        missing = {row.code: row.infusions for row in await db.execute(_MISSING, {"clinic_id": clinic_id})}
        found.append(ClinicAudit(clinic_id=clinic_id, last_run=None if run is None else RunOut.model_validate(run), missing=missing))
    await enter_clinic(db, OUTSIDE_CLINICS)
    return found


_CLINICS = text(
    """
    SELECT clinic_id FROM platform.client WHERE clinic_id <> CAST(:outside AS uuid)
    UNION SELECT clinic_id FROM platform.practitioner WHERE clinic_id <> CAST(:outside AS uuid) ORDER BY 1
    """
)
_MISSING = text(
    """
    SELECT code, count(*) AS infusions FROM completeness_gap, unnest(missing) AS code
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND resolved_at IS NULL GROUP BY code ORDER BY code
    """
)
