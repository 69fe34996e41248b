"""Work stays with somebody only as long as they work here and may do it; else it is for everybody again, with the reason why.

A hold goes on without its owner. Nothing comes back by itself to who returns or is given the role again.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.subjects.commands import lock_patients
from services.followup.tables import arrays_of, rows_of, types_of
from services.followup.tasks.models import MACHINE, WHERE_OPEN, CareTask
from services.followup.tasks.policy import TaskPolicy
from services.followup.tasks.rules import ReleaseCause
from services.followup.tasks.statements import telling
from shared.db import clinic_of
from shared.events import Delivery
from shared.events.intake import PractitionerChanged
from shared.security.projection import upsert_practitioner


async def note_practitioners(
    db: AsyncSession, policy: TaskPolicy, deliveries: Sequence[Delivery[PractitionerChanged]], now: datetime
) -> None:
    """Take over who works here with which roles, and release what somebody has who may not have it any more.

    The patients are locked before the practitioner, as by a person who gives a task to somebody. What is told late or twice
    changes nothing more, for what is released follows from what is known now and not from the event.
    """
    told_by = {delivery.event.practitioner_id: delivery.event_id for delivery in deliveries}
    patients = (await db.execute(_PATIENTS, {"clinic_id": clinic_of(db), "owners": sorted(told_by)})).scalars().all()
    if patients:
        await lock_patients(db, patients)
    await upsert_practitioner(db, clinic_of(db), [delivery.event for delivery in deliveries])
    await release(db, policy, told_by, now)


async def release(db: AsyncSession, policy: TaskPolicy, told_by: Mapping[UUID, UUID | None], now: datetime) -> int:
    """Release the open tasks of these people that they may not have, in one statement; with the event of each. Returns how many."""
    parameters = {
        **arrays_of(_LEAVERS, [{"owner_id": owner_id, "event_id": event_id} for owner_id, event_id in told_by.items()]),
        **_fits(policy),
        "clinic_id": clinic_of(db),
        "now": now,
        "actor": MACHINE,
    }
    return int((await db.execute(_RELEASE, parameters)).scalar_one())


async def who_may_not(db: AsyncSession, policy: TaskPolicy) -> Collection[UUID]:
    """People of this clinic who have open tasks that they may not have."""
    return (await db.execute(_WHO_MAY_NOT, {"clinic_id": clinic_of(db), **_fits(policy)})).scalars().all()


def _fits(policy: TaskPolicy) -> dict[str, list[str]]:
    return arrays_of(_FITS, [{"kind": name, "role": role} for name, kind in policy.kinds.items() for role in sorted(kind.roles)])


_LEAVERS = types_of(CareTask, "owner_id") | {"event_id": "UUID"}
_FITS = {"kind": "TEXT", "role": "TEXT"}
_IS_THEIRS = f"t.clinic_id = CAST(:clinic_id AS uuid) AND t.owner_id IS NOT NULL AND t.{WHERE_OPEN}"
_THE_OWNER = "platform.practitioner p WHERE p.clinic_id = t.clinic_id AND p.practitioner_id = t.owner_id AND p.active"
_MAY_NOT = f"""
    NOT EXISTS (
        SELECT FROM {_THE_OWNER} AND (
            t.kind <> ALL(CAST(:kind AS text[]))
            OR EXISTS (SELECT FROM {rows_of(_FITS)} WHERE given.kind = t.kind AND given.role = ANY(p.roles))
        )
    )
"""  # noqa: S608 - our own text
"""Who may do a kind that only a later release knows is not known here: who works here keeps it."""

_PATIENTS = text(
    f"SELECT DISTINCT patient_id FROM care_task t WHERE {_IS_THEIRS} AND t.owner_id = ANY(CAST(:owners AS uuid[]))"  # noqa: S608 - our own text
)
_WHO_MAY_NOT = text(f"SELECT DISTINCT owner_id FROM care_task t WHERE {_IS_THEIRS} AND {_MAY_NOT}")  # noqa: S608 - our own text
_RELEASE = text(
    f"""
    WITH leavers AS (SELECT owner_id, event_id FROM {rows_of(_LEAVERS)}),
    released AS (
        UPDATE care_task t SET owner_id = NULL, changed_at = :now, version = version + 1,
            status = CASE status WHEN 'on-hold' THEN 'on-hold' ELSE 'requested' END,
            released_because = CASE WHEN EXISTS (SELECT FROM {_THE_OWNER})
                               THEN '{ReleaseCause.ROLE_LOST}' ELSE '{ReleaseCause.OWNER_LEFT}' END
        FROM leavers
        WHERE {_IS_THEIRS} AND t.owner_id = leavers.owner_id AND {_MAY_NOT}
        RETURNING t.*, leavers.owner_id AS owner_before, leavers.event_id
    ),
    told AS ({
        telling(
            "released",
            "'released'",
            details="jsonb_build_object('cause', released_because, 'owner_before', owner_before)",
            caused_by="event_id",
        )
    })
    SELECT count(*) FROM released
    """  # noqa: S608 - our own text
)
