"""What every step on a record begins and ends with: load and lock, then keep the version and hand its event to the outbox."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.infusions import queries
from services.sessions.infusions.models import Infusion
from services.sessions.infusions.standing import Difference, differs_today
from services.sessions.infusions.statements import KEEP
from services.sessions.infusions.states import Step
from services.sessions.subjects.models import Subject
from shared.events import Event
from shared.outbox import emit
from shared.security.caller import Actor


class Taken(NamedTuple):
    """A record after a step, and what is otherwise today than at the visit's time."""

    infusion: Infusion
    differs_today: Sequence[Difference]


async def load(db: AsyncSession, actor: Actor, infusion_id: UUID, step: Step) -> tuple[Infusion, Subject]:
    """The infusion and whom it is about, locked, ready for this step. Raises 404, 412 for a stale If-Match, 409 for a wrong state."""
    infusion, subject = await queries.get_infusion_for_change(db, infusion_id)
    actor.expect_version(infusion.version)
    infusion.require(step)
    return infusion, subject


async def record(
    db: AsyncSession,
    actor: Actor,
    now: datetime,
    infusion: Infusion,
    subject: Subject,
    step: str,
    event: Event | None = None,
    reason: str | None = None,
    differs: Sequence[Difference] = (),
) -> Taken:
    """Keep the version that a step has just made, and hand its event to the outbox.

    What makes the first version, a mark for review and its settling are no ``Step``.

    Returned with what is otherwise today than at the visit's time; ``differs`` adds what the step found out about that.
    """
    await _keep(db, actor, infusion, step, reason)
    if event is not None:
        emit(db, event)
    return Taken(infusion, [*differs_today(subject, infusion.taken_place_at, now), *differs])


async def review_course(
    db: AsyncSession, actor: Actor, now: datetime, infusion: Infusion, subject: Subject, others: list[Infusion]
) -> None:
    """See whether the course's other infusions are still, or now, its first; each change is a version that is told."""
    why = "another infusion of the course changed"
    for other in others:
        before = other.version
        event = other.review_place(subject, [infusion, *(third for third in others if third is not other)], now)
        if other.version != before:
            await _keep(db, actor, other, "first-of-course", why)
        if event is not None:
            emit(db, event)


async def _keep(db: AsyncSession, actor: Actor, infusion: Infusion, step: str, reason: str | None) -> None:
    """Write the record and its new version. What is stored is the version before: whoever changes a record has locked it."""
    snapshot = infusion.model_dump_json()
    if not await KEEP.rows(db, snapshot=snapshot, step=str(step), actor=actor.name, reason=reason):
        raise RuntimeError("a version was skipped")
