"""Writing what the comparison of a plan makes of check-ins: one statement for all that are made, one for all that change."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins.commands import CALL, EXPIRE, OPEN, OVERDUE, key, timer
from services.followup.checkins.models import UNANSWERED, WAITING, CheckIn, CheckInStatus
from services.followup.tables import Overtaken, arrays_of, columns_of, rows_of, types_of
from shared.db import clinic_of
from shared.statements import Statement
from shared.timers import Timer


@dataclass(frozen=True, slots=True)
class MadeCheckIn:
    """A check-in that does not exist yet; ``status`` is planned, or how it is to have ended."""

    check_in_id: UUID
    patient_id: UUID
    patient_time_zone: str
    infusion_id: UUID | None
    course_id: UUID
    anchor_id: UUID
    code: str
    number: int
    ordinal: int
    opens_at: datetime
    due_at: datetime
    expires_at: datetime
    status: str
    ended_reason: str | None
    superseded_by: UUID | None
    caused_by: UUID | None

    @property
    def timers(self) -> list[Timer]:
        """What opens it."""
        return [timer(OPEN, self.check_in_id, self.opens_at)] if self.status == CheckInStatus.PLANNED else []


@dataclass(frozen=True, slots=True)
class ChangedCheckIn:
    """A check-in as it becomes. ``ended`` is how it ends; None where it is asked, or asked again, as far as it had come."""

    check_in_id: UUID
    seen: int
    """Its version when it was compared."""
    ended: str | None
    ended_reason: str | None
    opens_at: datetime
    due_at: datetime
    expires_at: datetime
    refused_due_at: datetime | None
    superseded_by: UUID | None
    caused_by: UUID | None


@dataclass(frozen=True, slots=True)
class Became:
    """A check-in after its change, with what it was."""

    check_in_id: UUID
    status: CheckInStatus
    before: CheckInStatus
    opens_at: datetime
    due_at: datetime
    expires_at: datetime

    @property
    def has_ended(self) -> bool:
        """Whether it is asked no more: its messages, links and timers end with it."""
        return self.status not in UNANSWERED and self.before in UNANSWERED

    @property
    def timers(self) -> list[Timer]:
        """What is to happen to it from now on. What is overdue has its call set already."""
        if self.status is CheckInStatus.PLANNED:
            return [timer(OPEN, self.check_in_id, self.opens_at)]
        due = [timer(OVERDUE, self.check_in_id, self.due_at)] if self.status is CheckInStatus.OPEN else []
        return [*due, timer(EXPIRE, self.check_in_id, self.expires_at)] if self.status in WAITING else []

    @property
    def over(self) -> list[str]:
        """Keys of timers that count no more."""
        kinds = {CheckInStatus.PLANNED: (), CheckInStatus.OPEN: (CALL,), CheckInStatus.OVERDUE: ()}
        return [key(kind, self.check_in_id) for kind in kinds.get(self.status, (OPEN, OVERDUE, CALL, EXPIRE))]


async def make(db: AsyncSession, made: Sequence[MadeCheckIn]) -> None:
    """Write new check-ins. Raises IntegrityError for one that is there, which the comparison had not seen."""
    if made:
        await _MAKE.rows(db, **arrays_of(_MADE, (columns_of(_MADE, one) for one in made)), clinic_id=clinic_of(db))


async def change(db: AsyncSession, changed: Sequence[ChangedCheckIn], now: datetime) -> list[Became]:
    """Write changes, each only to the version that was compared. Raises Overtaken where one of them is another by now."""
    if not changed:
        return []
    given = arrays_of(_CHANGED, (columns_of(_CHANGED, one) for one in changed))
    rows = (await db.execute(_CHANGE, {**given, "clinic_id": clinic_of(db), "now": now})).all()
    if len(rows) != len(changed):
        raise Overtaken
    return [_became(row) for row in rows]


async def of_keys(db: AsyncSession, keys: Sequence[tuple[UUID, str, int]]) -> dict[tuple[UUID, str, int], tuple[UUID, int]]:
    """The rows of check-ins in whose place a person asks, with their versions, by what they hang on, code and number.

    They are found by infusion and course, which the release before wrote as well.
    """
    if not keys:
        return {}
    given = {"anchors": [one[0] for one in keys], "codes": [one[1] for one in keys], "numbers": [one[2] for one in keys]}
    rows = await db.execute(_OF_KEYS, {**given, "clinic_id": clinic_of(db)})
    return {(row.anchor_id, row.code, row.number): (row.check_in_id, row.version) for row in rows}


def _became(row: Row[tuple[object, ...]]) -> Became:
    status, before = CheckInStatus(row.status), CheckInStatus(row.before)
    return Became(row.check_in_id, status, before, row.opens_at, row.due_at, row.expires_at)


_MADE = types_of(CheckIn, *(field.name for field in fields(MadeCheckIn)))
_NAMES = ", ".join(_MADE)
_MAKE = Statement(
    f"""
    INSERT INTO check_in (clinic_id, version, late, due_kept, reviews, plan_id, patient_number, {_NAMES})
    SELECT CAST(:clinic_id AS uuid), 1, false, false, 0, followed.plan_id, coalesce(p.patient_number, ''),
           {", ".join(f"given.{name}" for name in _MADE)}
    FROM {rows_of(_MADE)}
    JOIN patient p ON p.clinic_id = CAST(:clinic_id AS uuid) AND p.patient_id = given.patient_id
    LEFT JOIN plan followed ON followed.clinic_id = CAST(:clinic_id AS uuid) AND followed.infusion_id = given.infusion_id
    """  # noqa: S608 - column names of our own
)
_CHANGED = {
    **types_of(
        CheckIn, "check_in_id", "ended_reason", "opens_at", "due_at", "expires_at", "refused_due_at", "superseded_by", "caused_by",
    ),
    "seen": "INTEGER",
    "ended": "VARCHAR",
}  # fmt: skip
_CHANGE = text(
    f"""
    UPDATE check_in c SET version = c.version + 1, ended_reason = given.ended_reason, opens_at = given.opens_at, due_at = given.due_at,
        expires_at = given.expires_at, refused_due_at = given.refused_due_at, due_kept = given.refused_due_at IS NOT NULL,
        superseded_by = given.superseded_by, caused_by = coalesce(given.caused_by, c.caused_by),
        status = CASE
            WHEN given.ended IS NOT NULL THEN given.ended
            WHEN c.status = 'planned' OR c.opened_at IS NULL THEN 'planned'
            WHEN c.status = 'overdue' AND given.due_at < :now THEN 'overdue'
            ELSE 'open'
        END
    FROM {rows_of(_CHANGED)}
    WHERE c.clinic_id = CAST(:clinic_id AS uuid) AND c.check_in_id = given.check_in_id AND c.version = given.seen
    RETURNING c.check_in_id, c.status, OLD.status AS before, c.opens_at, c.due_at, c.expires_at
    """  # noqa: S608 - column names of our own
)
_OF_KEYS = text(
    """
    WITH given AS (
        SELECT * FROM unnest(CAST(:anchors AS uuid[]), CAST(:codes AS text[]), CAST(:numbers AS int[])) AS given(anchor_id, code, number)
    )
    SELECT c.check_in_id, c.version, c.ordinal, given.* FROM given
    JOIN check_in c ON c.infusion_id = given.anchor_id AND c.code = given.code AND coalesce(c.number, 0) = given.number
    WHERE c.clinic_id = CAST(:clinic_id AS uuid)
    UNION ALL
    SELECT c.check_in_id, c.version, c.ordinal, given.* FROM given
    JOIN check_in c ON c.course_id = given.anchor_id AND c.code = given.code AND coalesce(c.number, c.ordinal) = given.number
    WHERE c.clinic_id = CAST(:clinic_id AS uuid) AND c.infusion_id IS NULL
    ORDER BY ordinal
    """
)
