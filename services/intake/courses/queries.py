from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.courses.models import Course
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
