from uuid import UUID

from sqlmodel import col, select

from services.intake.courses import commands
from services.intake.courses.models import Course
from services.intake.courses.queries import get_course
from services.intake.courses.rules import CourseStep
from services.intake.courses.schemas import ChangeCourse, CourseOut, MaybeWithReason, StartCourse, WithReason
from services.intake.policy import PolicyInForce
from services.intake.roles import CARE, CARE_PLANNERS, RESPONSIBLE
from shared.web import Call, CallContext, Listing, Page, Router, access, page_of


def routes(policy: PolicyInForce) -> Router:
    """Courses, planned within the policy's limits."""
    router = Router(prefix="/intake/v1/courses", tags=["CarePlan"])

    @router.post("", status_code=201)
    @access("system/CarePlan.c", person=RESPONSIBLE, phi="write")
    async def start_course(body: StartCourse, call: Call) -> CourseOut:
        """Start a course of infusions."""
        course = await commands.start(call.db, call.actor, call.now, body, await policy.at(call.db, call.now))
        call.created(f"/intake/v1/courses/{course.course_id}")
        return _shown(call, course)

    @router.get("")
    @access("system/CarePlan.r", system_or_person=CARE, phi="read")
    async def list_courses(call: Call, page: Page, patient_id: UUID | None = None) -> Listing[CourseOut]:
        """Courses of the clinic, or of one patient, oldest first."""
        statement = select(Course).where(Course.clinic_id == call.clinic_id)
        if patient_id is not None:
            call.patient(patient_id)
            statement = statement.where(Course.patient_id == patient_id)
        ordered = statement.order_by(col(Course.started_at), col(Course.course_id))
        return (await page_of(call, ordered, page)).listing(CourseOut.model_validate)

    @router.get("/{course_id}")
    @access("system/CarePlan.r", system_or_person=CARE, phi="read")
    async def read_course(course_id: UUID, call: Call) -> CourseOut:
        """One course."""
        return _shown(call, await get_course(call.db, course_id))

    @router.patch("/{course_id}")
    @access("system/CarePlan.u", person=CARE_PLANNERS, phi="write")
    async def change_course(course_id: UUID, body: ChangeCourse, call: Call) -> CourseOut:
        """Change the care team or the plan of a course that has not ended."""
        return _shown(call, await commands.change(call.db, call.actor, call.now, course_id, body, await policy.at(call.db, call.now)))

    @router.post("/{course_id}/hold")
    @access("system/CarePlan.u", person=CARE, phi="write")
    async def hold_course(course_id: UUID, body: WithReason, call: Call) -> CourseOut:
        """Let no infusion start until a clinician resumes the course."""
        return _shown(call, await commands.take(call.db, call.actor, call.now, course_id, CourseStep.HOLD, body.reason))

    @router.post("/{course_id}/resume")
    @access("system/CarePlan.u", person=RESPONSIBLE, phi="write")
    async def resume_course(course_id: UUID, body: MaybeWithReason, call: Call) -> CourseOut:
        """Let a held course go on."""
        return _shown(call, await commands.take(call.db, call.actor, call.now, course_id, CourseStep.RESUME, body.reason))

    @router.post("/{course_id}/stop")
    @access("system/CarePlan.u", person=RESPONSIBLE, phi="write")
    async def stop_course(course_id: UUID, body: WithReason, call: Call) -> CourseOut:
        """End a course before all that was planned is done. Final."""
        return _shown(call, await commands.take(call.db, call.actor, call.now, course_id, CourseStep.STOP, body.reason))

    @router.post("/{course_id}/complete")
    @access("system/CarePlan.u", person=RESPONSIBLE, phi="write")
    async def complete_course(course_id: UUID, body: MaybeWithReason, call: Call) -> CourseOut:
        """End a course as planned. Final."""
        return _shown(call, await commands.take(call.db, call.actor, call.now, course_id, CourseStep.COMPLETE, body.reason))

    return router


def _shown(call: CallContext, course: Course) -> CourseOut:
    call.patient(course.patient_id)
    call.etag(course.version)
    return CourseOut.model_validate(course)
