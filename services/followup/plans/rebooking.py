"""What a booking does to work that waits: what asked for the visit ends, and what must be done by then waits no longer.

Each booking ends one task to book a visit of its course: two visits that fell out are two to be booked.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.local_time import day_begins
from services.followup.plans.means import Means, clinic_zone
from services.followup.plans.slots import Kind
from services.followup.subjects.commands import Standing
from services.followup.tasks import commands as tasks
from services.followup.tasks.models import WHERE_OPEN
from shared.db import clinic_of
from shared.events import Delivery
from shared.events.sessions import InfusionEvent, InfusionScheduled
from shared.events.zones import zone_of

BOOKED = "visit-booked"
"""Why such a task ended; its history names the event."""


async def close(db: AsyncSession, heard_first: Sequence[Delivery[InfusionEvent]], now: datetime) -> None:
    """End what asked for these visits, of which nothing had been heard before. The patients are locked before.

    A visit that lies before the one that fell out and before its task was entered late; it takes nobody's place.
    """
    booked = [(delivery.event, delivery.event_id) for delivery in heard_first if isinstance(delivery.event, InfusionScheduled)]
    if not booked:
        return
    waiting = await _waiting(db, {event.patient_id for event, _ in booked})
    for event, event_id in booked:
        asking = next((task for task in waiting[event.course_id] if event.scheduled_at >= task.from_then_on), None)
        if asking is not None:
            waiting[event.course_id].remove(asking)
            await tasks.cancel_open(db, now=now, focus_ids=[asking.focus_id], only=[Kind.REBOOK], reason=BOOKED, caused_by=event_id)


async def be_back_for(db: AsyncSession, means: Means, told: Sequence[Delivery[InfusionEvent]], standings: Mapping[UUID, Standing]) -> None:
    """Work that must be done by the next infusion waits no longer than until the day for which that is now booked."""
    now = means.now()
    days: dict[UUID, tuple[datetime, UUID]] = {}
    for delivery in told:
        event = delivery.event
        if isinstance(event, InfusionScheduled) and event.scheduled_at >= now:
            zone = clinic_zone(standings[event.patient_id], zone_of(event.patient_time_zone))
            day = (max(now, day_begins(event.scheduled_at, zone)), delivery.event_id)
            days[event.patient_id] = min(day, days.get(event.patient_id, day))
    await tasks.hold_less(db, days, means.policy.held_ahead_of_infusions(), now)


async def _waiting(db: AsyncSession, patient_ids: set[UUID]) -> dict[UUID, list[Row[Any]]]:  # Any: columns of several types
    """Open tasks to book a new visit by course, what is due first."""
    found: dict[UUID, list[Row[Any]]] = defaultdict(list)  # Any: as above
    for row in await db.execute(_WAITING, {"clinic_id": clinic_of(db), "patients": sorted(patient_ids), "kind": Kind.REBOOK.value}):
        found[row.course_id].append(row)
    return found


_WAITING = text(
    f"""
    SELECT i.course_id, t.focus_id, least(t.created_at, i.scheduled_at) AS from_then_on
    FROM care_task t JOIN infusion i ON i.clinic_id = t.clinic_id AND i.infusion_id = t.infusion_id
    WHERE t.clinic_id = CAST(:clinic_id AS uuid) AND t.patient_id = ANY(CAST(:patients AS uuid[])) AND t.kind = :kind AND t.{WHERE_OPEN}
    ORDER BY t.due_at, t.task_id
    """  # noqa: S608 - our own text
)
