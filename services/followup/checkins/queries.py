"""Reading check-ins. Who may see answers is decided here, for every reader alike."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from services.followup.checkins.models import CheckIn, CheckInAnswers, CheckInWorry
from services.followup.checkins.work import TELEPHONE_CHECK_IN
from services.followup.roles import CLINICAL
from services.followup.subjects.models import Clinic, Patient
from services.followup.tasks.models import CareTask
from services.followup.tasks.rules import Outcome, TaskStatus
from shared.db import clinic_of
from shared.errors import NotFound
from shared.events.zones import zone_of


@dataclass(frozen=True, slots=True)
class CheckInRecord:
    """A check-in with what came of it; answers and worries are empty for a reader who must not see them."""

    check_in: CheckIn
    answers: CheckInAnswers | None
    worries: tuple[CheckInWorry, ...]
    may_see_answers: bool


async def get_check_in(db: AsyncSession, check_in_id: UUID) -> CheckIn:
    """A check-in. Raises NotFound."""
    return _found((await db.exec(_one(db, check_in_id))).first())


async def get_locked(db: AsyncSession, check_in_id: UUID) -> CheckIn:
    """A check-in, locked until the end of the transaction. Raises NotFound."""
    locked = _one(db, check_in_id).with_for_update().execution_options(populate_existing=True)
    return _found((await db.exec(locked)).first())


def check_ins_of(db: AsyncSession, patient_id: UUID) -> SelectOfScalar[CheckIn]:
    """A patient's check-ins, oldest first."""
    query = select(CheckIn).where(CheckIn.clinic_id == clinic_of(db), CheckIn.patient_id == patient_id)
    return query.order_by(col(CheckIn.opens_at), col(CheckIn.check_in_id))


async def find_zone(db: AsyncSession) -> ZoneInfo | None:
    """The zone of this transaction's clinic, once an event has told it."""
    name = (await db.exec(select(Clinic.time_zone).where(Clinic.clinic_id == clinic_of(db)))).first()
    return zone_of(name) if name else None


async def lock_patients_of(db: AsyncSession, check_in_ids: Sequence[UUID]) -> None:
    """Lock the patients of these check-ins, in the order of their ids, before the check-ins themselves.

    Whatever keeps up with facts compares what it has read of a patient under this lock: a call made meanwhile would be missing from it.
    """
    about = select(CheckIn.patient_id).where(CheckIn.clinic_id == clinic_of(db), col(CheckIn.check_in_id).in_(check_in_ids))
    whose = select(Patient.patient_id).where(Patient.clinic_id == clinic_of(db), col(Patient.patient_id).in_(about))
    await db.exec(whose.order_by(col(Patient.patient_id)).with_for_update(key_share=True))


async def telephoned(db: AsyncSession, check_in_ids: Sequence[UUID], kinds: Collection[str] = (TELEPHONE_CHECK_IN,)) -> set[UUID]:
    """Those of these check-ins about which somebody calls anyhow, or has spoken to the patient, in a task of these kinds.

    By default only where they cannot be answered through a link. An attempt that reached nobody does not count: the next one does.
    """
    about = select(CareTask.focus_id).where(CareTask.clinic_id == clinic_of(db), col(CareTask.focus_id).in_(check_in_ids))
    query = about.where(col(CareTask.kind).in_(kinds))
    reached_nobody = func.coalesce(col(CareTask.outcome).in_([Outcome.NO_ANSWER, Outcome.LEFT_MESSAGE]), False)
    return set(await db.exec(query.where(CareTask.status != TaskStatus.CANCELLED, ~reached_nobody)))


async def get_record(db: AsyncSession, check_in_id: UUID, *, roles: frozenset[str]) -> CheckInRecord:
    """One check-in as this reader may see it. Raises NotFound."""
    check_in = await get_check_in(db, check_in_id)
    if not roles & CLINICAL:
        return CheckInRecord(check_in, None, (), may_see_answers=False)
    given = select(CheckInAnswers).where(CheckInAnswers.clinic_id == check_in.clinic_id, CheckInAnswers.check_in_id == check_in_id)
    answers = (await db.exec(given)).first()
    query = select(CheckInWorry).where(CheckInWorry.clinic_id == check_in.clinic_id, CheckInWorry.check_in_id == check_in_id)
    worries = await db.exec(query.order_by(col(CheckInWorry.raised_at), col(CheckInWorry.rule_id), col(CheckInWorry.item)))
    return CheckInRecord(check_in, answers, tuple(worries), may_see_answers=True)


def _one(db: AsyncSession, check_in_id: UUID) -> SelectOfScalar[CheckIn]:
    return select(CheckIn).where(CheckIn.clinic_id == clinic_of(db), CheckIn.check_in_id == check_in_id)


def _found(check_in: CheckIn | None) -> CheckIn:
    if check_in is None:
        raise NotFound
    return check_in
