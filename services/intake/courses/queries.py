from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.courses.models import Course, CourseChange
from services.intake.courses.rules import OPEN
from shared.db import clinic_of
from shared.errors import NotFound


async def get_course(db: AsyncSession, course_id: UUID, *, lock: bool = False) -> Course:
    """One course of this clinic. Raises NotFound."""
    course = await db.get(Course, (clinic_of(db), course_id), with_for_update=lock or None)
    if course is None:
        raise NotFound
    return course


async def find_open_course(db: AsyncSession, patient_id: UUID) -> Course | None:
    """The patient's course that has not ended, or None."""
    statement = select(Course).where(Course.clinic_id == clinic_of(db), Course.patient_id == patient_id, col(Course.status).in_(OPEN))
    return (await db.exec(statement)).first()


async def steps_taken(db: AsyncSession, course_id: UUID) -> Sequence[CourseChange]:
    """The steps that a course took, in their order."""
    statement = (
        select(CourseChange)
        .where(CourseChange.clinic_id == clinic_of(db), CourseChange.course_id == course_id)
        .order_by(col(CourseChange.changed_at), col(CourseChange.course_version).nulls_first())
    )
    return (await db.exec(statement)).all()


async def untold_courses(db: AsyncSession, limit: int) -> Sequence[Course]:
    """Some of those whose newest version a release before has told, without when they ran, locked."""
    untold = select(Course).where(Course.clinic_id == clinic_of(db), col(Course.told_version).is_distinct_from(col(Course.version)))
    return (await db.exec(untold.order_by(col(Course.course_id)).limit(limit).with_for_update())).all()
