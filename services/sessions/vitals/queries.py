"""Reading vital signs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.limits import Limits
from services.sessions.met import Met
from services.sessions.vitals.models import VitalSigns
from services.sessions.vitals.rules import Taken, holding, met_by_any
from shared.db import clinic_of
from shared.errors import NotFound


async def holds_before(db: AsyncSession, infusion_id: UUID, started_at: datetime, limits: Limits) -> list[Met]:
    """What holds a start at that moment by the readings that are not too old for it then."""
    within = limits.infusions.visit.reading_before_start_minutes
    return holding(await _taken_between(db, infusion_id, started_at - within.minutes, started_at), limits.vitals, within.value)


async def held_after(db: AsyncSession, infusion_id: UUID, started_at: datetime, limits: Limits) -> list[Met]:
    """What is met by readings taken after that moment and saved so soon that, when they were saved, they held a start."""
    within = limits.infusions.visit.reading_before_start_minutes
    rows = await db.scalars(
        select(VitalSigns)
        .where(
            col(VitalSigns.clinic_id) == clinic_of(db),
            col(VitalSigns.infusion_id) == infusion_id,
            col(VitalSigns.measured_at) > started_at,
            col(VitalSigns.recorded_at) - col(VitalSigns.measured_at) <= within.minutes,
        )
        .order_by(col(VitalSigns.measured_at), col(VitalSigns.recorded_at))
    )
    return met_by_any([_taken(signs) for signs in rows], limits.vitals)


async def _taken_between(db: AsyncSession, infusion_id: UUID, since: datetime, until: datetime) -> list[Taken]:
    """What was taken in that time, both ends inside, in the order of time, with what was struck."""
    rows = await db.scalars(
        select(VitalSigns)
        .where(
            col(VitalSigns.clinic_id) == clinic_of(db),
            col(VitalSigns.infusion_id) == infusion_id,
            col(VitalSigns.measured_at).between(since, until),
        )
        .order_by(col(VitalSigns.measured_at), col(VitalSigns.recorded_at))
    )
    return [_taken(signs) for signs in rows]


def _taken(signs: VitalSigns) -> Taken:
    return Taken({name: value for name, value in signs.readings().items() if value is not None}, signs.struck_at is not None)


async def get_vital_signs(db: AsyncSession, infusion_id: UUID, vital_signs_id: UUID) -> VitalSigns:
    """One set of readings of this infusion. Raises NotFound."""
    signs = await db.scalar(
        select(VitalSigns).where(
            col(VitalSigns.clinic_id) == clinic_of(db),
            col(VitalSigns.infusion_id) == infusion_id,
            col(VitalSigns.vital_signs_id) == vital_signs_id,
        )
    )
    if signs is None:
        raise NotFound
    return signs


def vital_signs_of(clinic_id: UUID, infusion_id: UUID, *, with_struck: bool) -> Select[VitalSigns]:
    """The readings of an infusion by the moment they were taken: without those struck, or all that were ever saved."""
    query = select(VitalSigns).where(col(VitalSigns.clinic_id) == clinic_id, col(VitalSigns.infusion_id) == infusion_id)
    if not with_struck:
        query = query.where(col(VitalSigns.struck_at).is_(None))
    return query.order_by(col(VitalSigns.measured_at), col(VitalSigns.vital_signs_id))
