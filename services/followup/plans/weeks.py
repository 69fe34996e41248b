"""The weekly check-ins of a course: begun by its first infusion with drug given, one week at a time, until the course ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID, uuid5

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans.means import Means
from services.followup.plans.models import WeeklySeries
from services.followup.plans.rules import course_day_0, first_week_after, weekly_check_in
from services.followup.plans.slots import CheckInSlot, Told
from services.followup.subjects.models import ENDED_COURSE, WHERE_GIVEN
from services.followup.tables import arrays_of, rows_of, types_of
from services.followup.tasks.rules import CancelledItem
from shared.db import clinic_of
from shared.events.zones import zone_of
from shared.statements import Statement
from shared.timers import Timer, arm, disarm

WEEK = "course-week"
"""Kind of the timer that is due when a week's check-in opens; its subject is the course."""


@dataclass(frozen=True, slots=True)
class Week:
    """The next week of one course, with how the course stands; the zone is the patient's present one where it is known."""

    course_id: UUID
    patient_id: UUID
    patient_number: str
    patient_time_zone: str
    protocol_code: str
    protocol_version: int
    day_0: date
    begun_at: datetime
    week: int
    active: bool
    course_status: str | None

    @property
    def goes_on(self) -> bool:
        """Whether the course is still asked about."""
        return self.active and self.course_status not in ENDED_COURSE


async def begin(db: AsyncSession, means: Means, told: Sequence[Told], now: datetime) -> None:
    """Begin to count the weeks of these infusions' courses, or count them from a corrected day. Two statements."""
    if not told:
        return
    first = {one.course_id: one for one in sorted(told, key=lambda one: one.infusion.started_at, reverse=True)}
    rows = arrays_of(_SERIES, [_row_of(first[course_id], means, now) for course_id in sorted(first)])
    begun = await _BEGIN.rows(db, **rows, clinic_id=clinic_of(db))
    await arm(db, *(_timer(Week(**row, course_status=None), means) for row in begun))


async def stop(db: AsyncSession, infusion_id: UUID) -> list[UUID]:
    """This infusion begins no course any more: it gave nothing, or never was. The patient is locked before.

    Returns the weekly check-ins that nothing stands behind any more, for no other infusion of the course has given drug.
    """
    stopped = (await db.execute(_STOP, {"clinic_id": clinic_of(db), "infusion_id": infusion_id})).all()
    await disarm(db, *(key_of(row.course_id, row.next_week) for row in stopped))
    return list((await db.execute(_LEFT_ALONE, {"clinic_id": clinic_of(db), "infusion_id": infusion_id})).scalars())


async def take_up(db: AsyncSession, means: Means, course_id: UUID) -> None:
    """A course that had ended runs again: its weeks go on from the next one."""
    now = means.now()
    for week in await weeks_of(db, [course_id]):
        protocol = means.protocols.get(week.protocol_code, week.protocol_version)
        following = first_week_after(week.day_0, zone_of(week.patient_time_zone), protocol, now)
        if week.active and following >= week.week:
            await go_on(db, means, [(week, following)])


async def courses_of(db: AsyncSession, patient_id: UUID) -> Sequence[UUID]:
    """The courses of a patient whose weeks are counted."""
    found = await db.execute(_COURSES, {"clinic_id": clinic_of(db), "patient_id": patient_id})
    return found.scalars().all()


async def not_asked(db: AsyncSession, means: Means, patient_id: UUID, since: datetime | None, now: datetime) -> list[CancelledItem]:
    """The weeks that opened since then and were left out, each under an id of its own; none where ``since`` is not known."""
    left_out: list[CancelledItem] = []
    for week in await weeks_of(db, await courses_of(db, patient_id)) if since else []:
        if week.goes_on and since:
            zone, protocol = zone_of(week.patient_time_zone), means.protocols.get(week.protocol_code, week.protocol_version)
            numbers = range(first_week_after(week.day_0, zone, protocol, since), first_week_after(week.day_0, zone, protocol, now))
            left_out += [CancelledItem("check-in", slot_of(week, means, number).code, _id_of(week.course_id, number)) for number in numbers]
    return left_out


def _id_of(course_id: UUID, number: int) -> UUID:
    """What a week that was not asked is listed under: the same each time, so that no call lists it beside another."""
    return uuid5(course_id, f"week {number}")


async def weeks_of(db: AsyncSession, course_ids: Sequence[UUID]) -> list[Week]:
    """The next week of each of these courses, in the order of patients."""
    rows = await db.execute(_WEEKS, {"clinic_id": clinic_of(db), "ids": sorted(course_ids)})
    return [Week(**row) for row in rows.mappings()]


async def go_on(db: AsyncSession, means: Means, weeks: Sequence[tuple[Week, int]]) -> None:
    """Set the clocks of courses for the given weeks."""
    if weeks:
        parameters = {
            "clinic_id": clinic_of(db),
            "courses": [week.course_id for week, _ in weeks],
            "weeks": [number for _, number in weeks],
        }
        await db.execute(_GO_ON, parameters)
        await arm(db, *(_timer(week, means, number) for week, number in weeks))


def slot_of(week: Week, means: Means, number: int) -> CheckInSlot:
    """The times of a week's check-in."""
    protocol = means.protocols.get(week.protocol_code, week.protocol_version)
    return weekly_check_in(week.day_0, number, zone_of(week.patient_time_zone), protocol)


def _timer(week: Week, means: Means, number: int | None = None) -> Timer:
    number = number or week.week
    return Timer(key_of(week.course_id, number), WEEK, slot_of(week, means, number).opens_at, week.course_id)


def key_of(course_id: UUID, week: int) -> str:
    """The key of a week's timer."""
    return f"course:{course_id}:week:{week}"


_SERIES = types_of(
    WeeklySeries, "course_id", "infusion_id", "patient_id", "patient_number", "patient_time_zone", "protocol_code", "protocol_version",
    "day_0", "begun_at",
)  # fmt: skip


def _row_of(told: Told, means: Means, now: datetime) -> dict[str, object]:
    infusion, protocol = told.infusion, means.protocols.get(told.protocol_code, told.protocol_version)
    return {
        "course_id": told.course_id,
        "infusion_id": infusion.infusion_id,
        "patient_id": told.patient_id,
        "patient_number": told.patient_number,
        "patient_time_zone": infusion.zone.key,
        "protocol_code": protocol.code,
        "protocol_version": protocol.version,
        "day_0": course_day_0(infusion),
        "begun_at": now,
    }


_READ = (
    "course_id, patient_id, patient_number, patient_time_zone, protocol_code, protocol_version, day_0, begun_at, next_week AS week, active"
)
_BEGIN = Statement(
    f"""
    INSERT INTO weekly_series AS known (clinic_id, next_week, active, {", ".join(_SERIES)})
    SELECT CAST(:clinic_id AS uuid), 1, true, {", ".join(_SERIES)} FROM {rows_of(_SERIES)}
    ON CONFLICT (clinic_id, course_id) DO UPDATE
    SET infusion_id = EXCLUDED.infusion_id, day_0 = EXCLUDED.day_0, patient_time_zone = EXCLUDED.patient_time_zone, active = true
    RETURNING {_READ}
    """  # noqa: S608 - column names of our own
)
_WEEKS = text(
    """
    SELECT s.course_id, s.patient_id, s.patient_number, coalesce(p.time_zone, s.patient_time_zone) AS patient_time_zone, s.protocol_code,
           s.protocol_version, s.day_0, s.begun_at, s.next_week AS week, s.active, c.status AS course_status
    FROM weekly_series s
    LEFT JOIN patient p ON p.clinic_id = s.clinic_id AND p.patient_id = s.patient_id
    LEFT JOIN course c ON c.clinic_id = s.clinic_id AND c.course_id = s.course_id
    WHERE s.clinic_id = CAST(:clinic_id AS uuid) AND s.course_id = ANY(CAST(:ids AS uuid[])) ORDER BY s.patient_id, s.course_id
    """
)
_GO_ON = text(
    """
    UPDATE weekly_series s SET next_week = n.week FROM unnest(CAST(:courses AS uuid[]), CAST(:weeks AS int[])) AS n(course_id, week)
    WHERE s.clinic_id = CAST(:clinic_id AS uuid) AND s.course_id = n.course_id
    """
)
_COURSES = text(
    """
    SELECT course_id FROM weekly_series
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = CAST(:patient_id AS uuid) ORDER BY course_id
    """
)
_STOP = text(
    """
    UPDATE weekly_series SET active = false
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND infusion_id = CAST(:infusion_id AS uuid) AND active RETURNING course_id, next_week
    """
)
_LEFT_ALONE = text(
    f"""
    SELECT c.check_in_id FROM infusion i
    JOIN check_in c ON c.clinic_id = i.clinic_id AND c.course_id = i.course_id AND c.infusion_id IS NULL
    WHERE i.clinic_id = CAST(:clinic_id AS uuid) AND i.infusion_id = CAST(:infusion_id AS uuid) AND NOT EXISTS (
        SELECT FROM infusion other
        WHERE other.clinic_id = i.clinic_id AND other.patient_id = i.patient_id AND other.course_id = i.course_id
          AND other.infusion_id <> i.infusion_id AND {WHERE_GIVEN}
    )
    """  # noqa: S608 - a condition of our own
)
