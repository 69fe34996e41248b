"""What time does to a course: the check-in of a week that has come, and the clock for the next one."""

from collections.abc import Sequence
from uuid import uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import commands as check_ins
from services.followup.checkins.commands import NewCheckIn
from services.followup.checkins.models import CheckInStatus
from services.followup.plans import weeks
from services.followup.plans.means import Means
from services.followup.plans.slots import PAST_DUE
from services.followup.plans.weeks import Week
from services.followup.subjects.commands import lock_patients
from services.followup.subjects.models import PatientStatus
from shared.timers import DueTimer


async def come_due(means: Means, db: AsyncSession, timers: Sequence[DueTimer]) -> None:
    """Ask for the check-ins of weeks that have come, and set the clock for the next ones.

    On hold, a course goes on being asked about; once it has ended, or the patient has died, it is not. A patient who has withdrawn or
    revoked consent is left alone, week by week, for that can change.
    """
    courses, keys = [timer.subject_id for timer in timers], {timer.timer_key for timer in timers}
    standings = await lock_patients(db, [week.patient_id for week in await weeks.weeks_of(db, courses)])
    due = [week for week in await weeks.weeks_of(db, courses) if weeks.key_of(week.course_id, week.week) in keys and week.goes_on]
    alive = [week for week in due if standings[week.patient_id].status is not PatientStatus.DECEASED]
    asked = [week for week in alive if means.called_off(standings[week.patient_id]) is None]
    await check_ins.request(db, [_check_in(week, means) for week in asked])
    await weeks.go_on(db, means, [(week, week.week + 1) for week in alive])


def _check_in(week: Week, means: Means) -> NewCheckIn:
    """The week's check-in. One that was due before we heard of the course is only there to be counted."""
    slot = weeks.slot_of(week, means, week.week)
    missed = slot.due_at < week.begun_at
    return NewCheckIn(
        check_in_id=uuid4(),
        plan_id=None,
        patient_id=week.patient_id,
        patient_number=week.patient_number,
        patient_time_zone=week.patient_time_zone,
        infusion_id=None,
        course_id=week.course_id,
        code=slot.code,
        ordinal=slot.ordinal,
        opens_at=slot.opens_at,
        due_at=slot.due_at,
        expires_at=slot.expires_at,
        status=CheckInStatus.CANCELLED if missed else CheckInStatus.PLANNED,
        ended_reason=PAST_DUE if missed else None,
    )
