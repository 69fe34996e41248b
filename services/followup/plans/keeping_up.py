"""The one use case that keeps follow-up with the facts: read, compare, write the difference. The patients are locked before."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans import waking
from services.followup.plans.apply import apply
from services.followup.plans.difference import Difference
from services.followup.plans.pinned import Pinned
from services.followup.plans.plan import plan
from services.followup.plans.reading import About, Known, read
from services.followup.plans.reconcile import reconcile
from services.followup.tasks.models import MACHINE


async def keep_up(
    db: AsyncSession,
    protocols: Pinned,
    patient_ids: Collection[UUID],
    now: datetime,
    *,
    caused_by: Mapping[UUID, UUID] | None = None,
    about: Sequence[About] | None = None,
    only_time: bool = False,
) -> list[Difference]:
    """Write what the facts want of these patients; returns those of whom something was written or held back.

    ``caused_by`` names, by patient, the event that changed a fact. ``about`` names the infusions that were told of, where only these were.
    With ``only_time`` no fact has changed, and what time alone may not do is held back.

    The patients are locked by a statement of its own before: one that had to wait for the lock would go on with what it saw before.
    """
    causes = caused_by or {}
    await db.flush()
    known = await read(db, patient_ids, about)
    found = [difference_of(one, protocols, now, causes.get(patient_id)) for patient_id, one in known.items()]
    if only_time:
        found = [one.as_time_may_write() for one in found]
    await apply(db, MACHINE, [one for one in found if one.changes or one.new_pins], now, also=waking.clocks(found))
    return [one for one in found if one.changes or one.drift]


def difference_of(known: Known, protocols: Pinned, now: datetime, caused_by: UUID | None) -> Difference:
    """What has to change for one patient."""
    wanted = plan(known.facts, protocols.with_pins(known.pins), now)
    return Difference(known.facts, known.items, wanted, reconcile(known.items, wanted, now), known.pins, caused_by)
