"""What comes in through a link: answers, a call for help, a form that was refused. Whatever worries becomes a task at once.

Everything here happens in one transaction: the answers, the check-in's state, the worries, the task for a person and the event. The
system pages nobody, and neither lowers nor closes what it raised.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import links
from services.followup.checkins.commands import CALL, EXPIRE, OVERDUE, key
from services.followup.checkins.forms import Answers, Form
from services.followup.checkins.models import CheckIn, CheckInAnswers, CheckInPartial, CheckInStatus, CheckInWorry, LinkStatus
from services.followup.checkins.policy import CheckInSetup
from services.followup.checkins.queries import find_zone, get_locked
from services.followup.checkins.rules import HELP_NOW, Worry, due_by, highest, worries
from services.followup.checkins.work import OVERDUE_CALL, REVIEW, TELEPHONE_CHECK_IN, THOUGH_DEAD, Lapse, review_task
from services.followup.tasks import commands as tasks
from services.followup.tasks.queries import open_reasons
from shared.db import clinic_of
from shared.errors import Conflict
from shared.events.zones import zone_of
from shared.outbox import emit
from shared.timers import disarm


async def submit(db: AsyncSession, check_in_id: UUID, answers: Answers, now: datetime, setup: CheckInSetup) -> bool:
    """Store the answers of a check-in; False where they are stored already. Raises Conflict when none are taken any more."""
    check_in = await get_locked(db, check_in_id)
    if check_in.status == CheckInStatus.SUBMITTED:
        return False
    if not check_in.takes_answers(now, setup.policy.late_answers_for):
        raise Conflict("check-in-closed", "This check-in takes no answers any more.")
    form = form_of(check_in, setup)
    emit(db, check_in.submit(now))
    db.add(
        CheckInAnswers(
            clinic_id=check_in.clinic_id,
            check_in_id=check_in_id,
            form_code=form.code,
            form_version=form.version,
            language=form.language,
            answers=dict(answers),
            received_at=now,
        )
    )
    await links.close(db, [check_in_id], LinkStatus.USED)
    await disarm(db, *(key(kind, check_in_id) for kind in (OVERDUE, CALL, EXPIRE)))
    await tasks.cancel_open(db, now=now, reason="answered", focus_ids=[check_in_id], only=[OVERDUE_CALL, TELEPHONE_CHECK_IN])
    await _raise(db, check_in, worries(answers, form, setup.rules.reading(form)), now, setup)
    await db.flush()
    return True


async def keep_refused(db: AsyncSession, check_in_id: UUID, answers: Answers, now: datetime, setup: CheckInSetup) -> None:
    """Read the good answers of a form that was sent back to the patient for the others; the check-in stays as it is."""
    check_in = await get_locked(db, check_in_id)
    found = _read_unsent(check_in, answers, setup)
    if check_in.takes_answers(now, setup.policy.late_answers_for) and await _raise(db, check_in, found, now, setup):
        _keep_partial(db, check_in, answers, now, help_now=False)
        await db.flush()


async def hear(
    db: AsyncSession,
    check_in_id: UUID,
    answers: Answers,
    now: datetime,
    setup: CheckInSetup,
    *,
    lapse: Lapse | None = None,
    recorded_dead: bool = False,
) -> None:
    """Read answers that are not kept, for the check-in is over or the form came by a ``lapse``: what worries becomes a task all the same.

    So it does where the patient is ``recorded_dead``, which may be a mistake; the task says it.
    """
    check_in = await get_locked(db, check_in_id)
    found = _read_unsent(check_in, answers, setup)
    await _raise(db, check_in, found, now, setup, saved=False, lapse=lapse, recorded_dead=recorded_dead)
    await db.flush()


async def are_stored(db: AsyncSession, check_in_id: UUID, answers: Answers) -> bool:
    """Whether these are the very answers that are stored: a form that is sent again by a second press or by "Reload"."""
    query = select(CheckInAnswers.answers).where(CheckInAnswers.clinic_id == clinic_of(db), CheckInAnswers.check_in_id == check_in_id)
    return (await db.exec(query)).first() == dict(answers)


async def ask_for_help(
    db: AsyncSession,
    check_in_id: UUID,
    answers: Answers,
    now: datetime,
    setup: CheckInSetup,
    *,
    lapse: Lapse | None = None,
    recorded_dead: bool = False,
) -> None:
    """The patient pressed "I need help now": a task of the highest level, again for a press after the policy's time.

    The state of the check-in does not matter; where it takes no answers any more, or the form came by a ``lapse``, those on
    the page are read and not kept. Nor does it matter that the patient is ``recorded_dead``: the task says it.
    """
    check_in = await get_locked(db, check_in_id)
    query = select(CheckInPartial).where(
        CheckInPartial.clinic_id == check_in.clinic_id, CheckInPartial.check_in_id == check_in_id, col(CheckInPartial.help_now)
    )
    last = (await db.exec(query.order_by(col(CheckInPartial.received_at).desc()).limit(1))).first()
    again = {HELP_NOW} if last is not None and now - last.received_at >= setup.policy.help_again_after else set()
    found = _read_unsent(check_in, {**answers, HELP_NOW: "yes"}, setup)
    asked = check_in.status == CheckInStatus.SUBMITTED or check_in.takes_answers(now, setup.policy.late_answers_for)
    saved = asked and lapse is None and not recorded_dead
    if await _raise(db, check_in, found, now, setup, again=again, saved=saved, lapse=lapse if asked else None, recorded_dead=recorded_dead):
        _keep_partial(db, check_in, answers if saved else {}, now, help_now=True)
        await db.flush()


def _read_unsent(check_in: CheckIn, answers: Answers, setup: CheckInSetup) -> list[Worry]:
    """What worries in answers that are not, or not yet, the answers to this check-in."""
    form = form_of(check_in, setup)
    return worries(answers, form, setup.rules.reading(form), sent=False)


def form_of(check_in: CheckIn, setup: CheckInSetup) -> Form:
    """The form that this check-in was opened with."""
    assert check_in.form_code is not None
    assert check_in.form_version is not None
    return setup.forms.sent_with(check_in.form_code, check_in.form_version)


def _keep_partial(db: AsyncSession, check_in: CheckIn, answers: Answers, now: datetime, *, help_now: bool) -> None:
    db.add(
        CheckInPartial(
            clinic_id=check_in.clinic_id, check_in_id=check_in.check_in_id, help_now=help_now, answers=dict(answers), received_at=now
        )
    )


async def _raise(
    db: AsyncSession,
    check_in: CheckIn,
    found: Sequence[Worry],
    now: datetime,
    setup: CheckInSetup,
    *,
    again: AbstractSet[str] = frozenset(),
    saved: bool = True,
    lapse: Lapse | None = None,
    recorded_dead: bool = False,
) -> bool:
    """Remember worries, and make one task for those that are new, or whose item is asked for ``again``; False when none is.

    What was heard before is not new while a review of this check-in is open. Once somebody has closed it, it is told again. A review that
    says that the patient was recorded as dead stands for what came then and for nothing else, and the others for nothing of that.
    """
    known = await _remember(db, check_in, found, now)
    though_dead = frozenset(THOUGH_DEAD.values())
    if known and recorded_dead not in {reason in though_dead for reason in await open_reasons(db, check_in.check_in_id, REVIEW)}:
        known = set()
    fresh = [worry for worry in found if (worry.rule_id, worry.item) not in known or worry.item in again]
    level = highest(worry.level for worry in fresh)
    if level is None:
        return False
    number = check_in.raise_to(level)
    zone = await find_zone(db) or zone_of(check_in.patient_time_zone)
    due_at = due_by(fresh, now, zone, setup.times)
    task = review_task(check_in, fresh, now, due_at, number=number, saved=saved, lapse=lapse, recorded_dead=recorded_dead)
    await tasks.add(db, [task])
    return True


async def _remember(db: AsyncSession, check_in: CheckIn, found: Sequence[Worry], now: datetime) -> set[tuple[str, str]]:
    """Store what was found; returns what had been stored before."""
    if not found:
        return set()
    rows = [
        {
            "clinic_id": clinic_of(db),
            "check_in_id": check_in.check_in_id,
            "rule_id": worry.rule_id,
            "item": worry.item,
            "rule_version": worry.rule_version,
            "level": worry.level,
            "why": worry.why,
            "source": worry.source,
            "raised_at": now,
        }
        for worry in found
    ]
    inserting = insert(CheckInWorry).values(rows).on_conflict_do_nothing().returning(col(CheckInWorry.rule_id), col(CheckInWorry.item))
    new = {(row.rule_id, row.item) for row in (await db.execute(inserting)).all()}
    return {(worry.rule_id, worry.item) for worry in found} - new
