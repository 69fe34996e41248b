from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.courses.models import Course
from services.intake.courses.queries import find_open_course, get_course, steps_taken, untold_courses
from services.intake.courses.rules import CARE_TEAM_ROLES, PLANNING_FIELDS, CourseStep
from services.intake.courses.schemas import ChangeCourse, StartCourse
from services.intake.patients.queries import get_patient, referenced_patient
from services.intake.policy import Policy
from services.intake.practitioners.queries import find_practitioners
from services.intake.refusals import refused, unknown_reference
from services.intake.roles import RESPONSIBLE
from shared.db import clinic_of
from shared.errors import Conflict, FieldError
from shared.outbox import emit
from shared.security.caller import Actor, role_missing


async def start(db: AsyncSession, actor: Actor, now: datetime, body: StartCourse, policy: Policy) -> Course:
    """Start a course. Raises 422 for unknown or unqualified people and too many infusions, 409 unless the patient is active and free."""
    patient = await referenced_patient(db, body.patient_id, lock=True)
    patient.require_active()
    _refuse_protocol(body, policy)
    _refuse_planned(body.planned_infusions, policy)
    await _refuse_unqualified(db, {name: getattr(body, name) for name in CARE_TEAM_ROLES})
    if (open_course := await find_open_course(db, body.patient_id)) is not None:
        detail = "The patient has a course that has not ended."
        raise Conflict("course-already-open", detail, extra={"state": open_course.status, "course_id": open_course.course_id})
    course = Course(
        clinic_id=clinic_of(db),
        course_id=uuid4(),
        status_changed_at=now,
        status_changed_by=actor.name,
        started_at=now,
        **body.model_dump(),
    )
    db.add(course)
    emit(db, course.changed(now, []))
    return course


async def change(db: AsyncSession, actor: Actor, now: datetime, course_id: UUID, body: ChangeCourse, policy: Policy) -> Course:
    """Change care team or plan. Raises NotFound, 428 or 412 for the version, 409 for an ended course, and as for a start.

    What is planned is changed by those who may be responsible; a coordinator may change the care team.
    """
    course = await _locked(db, actor, course_id)
    actor.require_version(course.version)
    fields = {name: getattr(body, name) for name in body.model_fields_set}
    if fields.keys() & PLANNING_FIELDS and actor.roles.isdisjoint(RESPONSIBLE):
        raise role_missing(RESPONSIBLE)
    if "planned_infusions" in fields:
        _refuse_planned(body.planned_infusions, policy)
    await _refuse_unqualified(db, {name: value for name, value in fields.items() if name in CARE_TEAM_ROLES})
    course.replan(**fields)
    emit(db, course.changed(now, await steps_taken(db, course_id)))
    return course


async def take(db: AsyncSession, actor: Actor, now: datetime, course_id: UUID, step: CourseStep, reason: str | None) -> Course:
    """Hold, resume, stop or complete. Raises NotFound, 409 when the state does not allow it or, to resume, the patient's does not."""
    course = await _locked(db, actor, course_id)
    change = course.take(step, reason, now, actor.name)
    if step is CourseStep.RESUME:
        (await get_patient(db, course.patient_id, lock=True)).require_active()
    taken = [*await steps_taken(db, course_id), change]
    db.add(change)
    emit(db, course.changed(now, taken))
    return course


async def tell_untold(db: AsyncSession, now: datetime, limit: int) -> int:
    """Tell again, with when they ran, courses whose newest version a release before has told; returns how many were found."""
    found = await untold_courses(db, limit)
    for course in found:
        emit(db, course.tell_again(now, await steps_taken(db, course.course_id)))
    return len(found)


async def _locked(db: AsyncSession, actor: Actor, course_id: UUID) -> Course:
    course = await get_course(db, course_id, lock=True)
    actor.expect_version(course.version)
    return course


def _refuse_protocol(body: StartCourse, policy: Policy) -> None:
    """Nobody would know what follows an infusion of a course whose protocol has no file."""
    known = policy.protocols.known
    if body.protocol_code not in known:
        raise refused(FieldError("/protocol_code", "protocol-unknown", f"Known: {', '.join(sorted(known))}."))
    versions = known[body.protocol_code]
    if body.protocol_version not in versions:
        raise refused(FieldError("/protocol_version", "protocol-unknown", f"Known: {', '.join(map(str, versions))}."))


def _refuse_planned(planned: int, policy: Policy) -> None:
    limits = policy.planned_infusions
    if not limits.minimum <= planned <= limits.maximum:
        allowed = f"Allowed: {limits.minimum} to {limits.maximum}."
        raise refused(FieldError("/planned_infusions", "planned-infusions-out-of-range", allowed))


async def _refuse_unqualified(db: AsyncSession, places: Mapping[str, UUID | None]) -> None:
    """Everybody named must be an active practitioner of this clinic with a role for the place."""
    named = {place: practitioner_id for place, practitioner_id in places.items() if practitioner_id is not None}
    known = await find_practitioners(db, set(named.values())) if named else {}
    for place, practitioner_id in named.items():
        practitioner = known.get(practitioner_id)
        if practitioner is None:
            raise unknown_reference(f"/{place}")
        if not practitioner.active or CARE_TEAM_ROLES[place].isdisjoint(practitioner.roles):
            allowed = f"Allowed: an active {' or '.join(sorted(CARE_TEAM_ROLES[place]))}."
            raise refused(FieldError(f"/{place}", "practitioner-not-qualified", allowed))
