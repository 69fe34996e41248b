"""What a comparison of whole patients would change of what events and time have left. It writes nothing; there should be nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans import reading
from services.followup.plans.changes import Change
from services.followup.plans.keeping_up import difference_of
from services.followup.plans.means import Means
from services.followup.plans.reading import Known
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


async def compare_everywhere(db: AsyncSession, means: Means, clinics: Sequence[UUID], after: Place | None, limit: int) -> list[Compared]:
    """Compare up to ``limit`` patients of these clinics, in order, from the one behind ``after`` on.

    It begins outside of clinics, enters one after the other, and ends outside again.
    """
    found: list[Compared] = []
    for clinic_id in sorted(clinics):
        if len(found) < limit and not (after and clinic_id < after.clinic_id):
            await enter_clinic(db, clinic_id)
            behind = after.patient_id if after and after.clinic_id == clinic_id else None
            found += await _compare(db, means, clinic_id, behind, limit - len(found))
    await enter_clinic(db, OUTSIDE_CLINICS)
    return found


async def _compare(db: AsyncSession, means: Means, clinic_id: UUID, behind: UUID | None, limit: int) -> list[Compared]:
    parameters = {"clinic_id": clinic_id, "behind": behind, "limit": limit}
    patient_ids = list((await db.execute(_PATIENTS, parameters)).scalars())
    known = await reading.read(db, patient_ids)
    settled, now = await means.in_clinic(db), means.now()
    return [Compared(Place(clinic_id, one), _changes(known.get(one), settled, now)) for one in patient_ids]


def _changes(known: Known | None, means: Means, now: datetime) -> Sequence[Change]:
    return difference_of(known, means.followed_by, now, None).changes if known else ()


_PATIENTS = text(
    """
    SELECT patient_id FROM patient
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND (CAST(:behind AS uuid) IS NULL OR patient_id > CAST(:behind AS uuid))
    ORDER BY patient_id LIMIT :limit
    """
)
