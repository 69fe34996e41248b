"""What the comparison would change of what the events' own paths have left. It writes nothing: it shows whether both say the same."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans import reading
from services.followup.plans.changes import Change, CoverChange
from services.followup.plans.pinned import Pinned
from services.followup.plans.plan import plan
from services.followup.plans.reading import Known
from services.followup.plans.reconcile import reconcile
from services.followup.plans.stored import Items
from services.followup.plans.wanted import Plan
from shared.db import enter_clinic
from shared.security.caller import OUTSIDE_CLINICS


class Place(NamedTuple):
    """A patient in the order of all clinics' patients."""

    clinic_id: UUID
    patient_id: UUID


@dataclass(frozen=True, slots=True)
class Compared:
    """What would change for one patient."""

    place: Place
    changes: Sequence[Change]


async def compare_everywhere(
    db: AsyncSession, protocols: Pinned, clinics: Sequence[UUID], after: Place | None, limit: int, now: datetime
) -> list[Compared]:
    """Compare up to ``limit`` patients of these clinics, in order, from the one behind ``after`` on.

    It begins outside of clinics, enters one after the other, and ends outside again.
    """
    found: list[Compared] = []
    for clinic_id in sorted(clinics):
        if len(found) < limit and not (after and clinic_id < after.clinic_id):
            await enter_clinic(db, clinic_id)
            behind = after.patient_id if after and after.clinic_id == clinic_id else None
            found += await _compare(db, protocols, clinic_id, behind, limit - len(found), now)
    await enter_clinic(db, OUTSIDE_CLINICS)
    return found


async def _compare(db: AsyncSession, protocols: Pinned, clinic_id: UUID, behind: UUID | None, limit: int, now: datetime) -> list[Compared]:
    parameters = {"clinic_id": clinic_id, "behind": behind, "limit": limit}
    patient_ids = list((await db.execute(_PATIENTS, parameters)).scalars())
    known = await reading.read(db, patient_ids)
    return [Compared(Place(clinic_id, one), differences(known[one], protocols, now) if one in known else ()) for one in patient_ids]


def differences(known: Known, protocols: Pinned, now: datetime) -> list[Change]:
    """What would be written for this patient now."""
    wanted = plan(known.facts, protocols, now)
    return reconcile(_as_if_refused_now(known.items, wanted), wanted, now)


def codes_of(change: Change) -> tuple[str, str]:
    """What is done, and to which item or kind of work."""
    return change.step.value, change.after.kind.value if isinstance(change, CoverChange) else change.after.key.code


def _as_if_refused_now(items: Items, wanted: Plan) -> Items:
    """A row says that a due time was refused since it had passed, but not which one: it is taken to be the one that is wanted now."""
    stored = {}
    for key, item in items.stored.items():
        want = wanted.wanted.get(key)
        stored[key] = replace(item, refused=want.times.due_at if want and item.refused else None)
    return Items(stored, items.covers)


_PATIENTS = text(
    """
    SELECT patient_id FROM patient
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND (CAST(:behind AS uuid) IS NULL OR patient_id > CAST(:behind AS uuid))
    ORDER BY patient_id LIMIT :limit
    """
)
