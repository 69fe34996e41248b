"""Reading infusions. Every query names the clinic itself; row-level security is the second wall, not the first."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import DateTime, Select, and_, bindparam, func, select, type_coerce, union_all
from sqlalchemy.orm import aliased
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.infusions.models import Infusion
from services.sessions.infusions.records import IS_CORRECTION, InfusionVersion
from services.sessions.infusions.rules import LastGiven
from services.sessions.infusions.states import NO_RECORD_OF_A_VISIT, InfusionState
from services.sessions.subjects.models import Course, Patient, Subject
from shared.db import clinic_of
from shared.errors import NotFound


async def get_infusion(db: AsyncSession, infusion_id: UUID) -> Infusion:
    """One infusion of this clinic. Raises NotFound."""
    query = select(Infusion).where(col(Infusion.clinic_id) == clinic_of(db), col(Infusion.infusion_id) == infusion_id)
    infusion = await db.scalar(query)
    if infusion is None:
        raise NotFound
    return infusion


async def get_infusion_for_change(db: AsyncSession, infusion_id: UUID) -> tuple[Infusion, Subject]:
    """One infusion with whom it is about, both locked, in one statement. Raises NotFound. The session writes no change of it by itself.

    The patient's lock comes first, as everywhere: writes about one patient's infusions wait for each other and cannot deadlock.
    """
    row = (await db.execute(_FOR_CHANGE, {"clinic_id": clinic_of(db), "infusion_id": infusion_id})).first()
    if row is None:
        raise NotFound
    db.expunge(row.Infusion)
    return row.Infusion, Subject(row.Patient, row.Course)


async def infusions_with_subjects(db: AsyncSession, infusion_ids: Sequence[UUID]) -> list[tuple[Infusion, Subject]]:
    """Those of the named infusions that exist, with whom they are about."""
    rows = await db.execute(_with_subject().where(col(Infusion.clinic_id) == clinic_of(db), col(Infusion.infusion_id).in_(infusion_ids)))
    return [(row.Infusion, Subject(row.Patient, row.Course)) for row in rows]


async def started_beside(db: AsyncSession, infusion: Infusion) -> list[Infusion]:
    """The course's other infusions that were started and still count. The session writes no change of them by itself."""
    rows = await db.scalars(
        select(Infusion).where(
            col(Infusion.clinic_id) == infusion.clinic_id,
            col(Infusion.course_id) == infusion.course_id,
            col(Infusion.infusion_id) != infusion.infusion_id,
            col(Infusion.pump_started_at).is_not(None),
            col(Infusion.state) != InfusionState.ENTERED_IN_ERROR,
        )
    )
    others = list(rows)
    for other in others:
        db.expunge(other)
    return others


async def last_given(db: AsyncSession, infusion: Infusion, at: datetime) -> LastGiven:
    """What counts of the patient's last other infusion before that moment; where there is none, of the first one after it."""
    started_at = col(Infusion.pump_started_at)
    last = await db.scalar(
        select(Infusion)
        .where(
            col(Infusion.clinic_id) == infusion.clinic_id,
            col(Infusion.patient_id) == infusion.patient_id,
            col(Infusion.infusion_id) != infusion.infusion_id,
            col(Infusion.weight_kg).is_not(None),
            col(Infusion.state) != InfusionState.ENTERED_IN_ERROR,
        )
        .order_by(started_at > at, func.abs(func.extract("epoch", started_at - at)))
        .limit(1)
    )
    return LastGiven() if last is None else LastGiven(last.counted_weight_kg, last.dose_ordered_mg)


async def visits_near(db: AsyncSession, infusion: Infusion, at: datetime, within: timedelta) -> list[Infusion]:
    """The patient's other visits that took or are to take place so near to a moment, both ends inside."""
    visit_at = func.coalesce(col(Infusion.pump_started_at), col(Infusion.scheduled_at))
    rows = await db.scalars(
        select(Infusion).where(
            col(Infusion.clinic_id) == infusion.clinic_id,
            col(Infusion.patient_id) == infusion.patient_id,
            col(Infusion.infusion_id) != infusion.infusion_id,
            col(Infusion.state).not_in(NO_RECORD_OF_A_VISIT),
            visit_at.between(at - within, at + within),
        )
    )
    return list(rows)


def _with_subject() -> Select[Infusion, Patient, Course]:
    same_patient = and_(col(Patient.clinic_id) == col(Infusion.clinic_id), col(Patient.patient_id) == col(Infusion.patient_id))
    same_course = and_(col(Course.clinic_id) == col(Infusion.clinic_id), col(Course.course_id) == col(Infusion.course_id))
    return select(Infusion, Patient, Course).join(Patient, same_patient).join(Course, same_course)


_FOR_CHANGE = (
    _with_subject()
    .where(col(Infusion.clinic_id) == bindparam("clinic_id"), col(Infusion.infusion_id) == bindparam("infusion_id"))
    .with_for_update(key_share=True, of=[Patient, Infusion])
)
"""Built once: every step of every visit begins with it, and to build it anew took a twentieth of a completion's time."""


def infusions_by_booking(
    clinic_id: UUID,
    patient_id: UUID | None,
    course_id: UUID | None,
    state: InfusionState | None,
    scheduled_from: datetime | None,
    scheduled_to: datetime | None,
    needs_review: bool | None = None,
) -> Select[Infusion]:
    """A clinic's infusions by (scheduled_at, infusion_id); from is inside, to is outside."""
    conditions = [
        column == value
        for column, value in (
            (col(Infusion.patient_id), patient_id),
            (col(Infusion.course_id), course_id),
            (col(Infusion.state), state),
            (col(Infusion.needs_review), needs_review),
        )
        if value is not None
    ]
    if scheduled_from is not None:
        conditions.append(col(Infusion.scheduled_at) >= scheduled_from)
    if scheduled_to is not None:
        conditions.append(col(Infusion.scheduled_at) < scheduled_to)
    query = select(Infusion).where(col(Infusion.clinic_id) == clinic_id, *conditions)
    return query.order_by(col(Infusion.scheduled_at), col(Infusion.infusion_id))


def ended_infusions(clinic_id: UUID, ended_from: datetime, ended_to: datetime) -> Select[Infusion]:
    """A clinic's infusions that ended in a time, or ended before and were changed in it, by (ended_at, infusion_id).

    Each change has left a version, the end itself too. An amendment or an entry in error counts as a change.
    """
    mine, ended_at = col(Infusion.clinic_id) == clinic_id, col(Infusion.ended_at)
    corrected = select(col(InfusionVersion.infusion_id)).where(
        col(InfusionVersion.clinic_id) == clinic_id,
        col(InfusionVersion.recorded_at) >= ended_from,
        col(InfusionVersion.recorded_at) < ended_to,
        IS_CORRECTION,
    )
    lately = select(Infusion).where(mine, ended_at >= ended_from, ended_at < ended_to)
    # A part of its own, found from the few corrections; as one condition it would be looked for from the first infusion there ever was.
    before = select(Infusion).where(mine, ended_at < ended_from, col(Infusion.infusion_id).in_(corrected))
    found = aliased(Infusion, union_all(lately, before).subquery())
    # The column can be null and the selected rows' cannot; a page's key must not be, and says so by its type.
    return select(found).order_by(type_coerce(col(found.ended_at), DateTime(timezone=True)), col(found.infusion_id))
