"""Which clinic a key belongs to: the one that used it first. Another clinic's event about it is set aside, whoever sent it."""

from collections.abc import Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from shared.parked_reasons import ParkedReason
from shared.parking import Enveloped, Parking
from shared.statements import Statement

R = TypeVar("R", bound=Enveloped)


async def owners_of(db: AsyncSession, wanted: Mapping[str, UUID]) -> dict[str, UUID]:
    """The owner of each key; a key that nobody has used becomes the clinic's that wants it."""
    if not wanted:
        return {}
    rows = await _CLAIM.rows(db, keys=list(wanted), clinics=list(wanted.values()))
    owners = {row["key"]: row["clinic_id"] for row in rows}
    if unseen := wanted.keys() - owners.keys():
        # Another transaction took them while we waited for it: too late for that statement's snapshot, there for the next one's.
        rows = await _READ.rows(db, keys=sorted(unseen))
        owners |= {row["key"]: row["clinic_id"] for row in rows}
    return owners


async def without_strangers(db: AsyncSession, fresh: Sequence[R]) -> tuple[list[R], list[Parking]]:
    """What is of its key's own clinic, and what is set aside because it is another's; that blocks nothing."""
    wanted: dict[str, UUID] = {}
    for item in fresh:
        wanted.setdefault(item.envelope.key, item.envelope.clinic_id)
    owners = await owners_of(db, wanted)
    own: list[R] = []
    strangers: list[Parking] = []
    for item in fresh:
        if owners[item.envelope.key] == item.envelope.clinic_id:
            own.append(item)
        else:
            set_aside = Parking.of(item.record, reason=ParkedReason.TENANT_MISMATCH, error_class="event-tenant-mismatch")
            strangers.append(set_aside)
    return own, strangers


_CLAIM = Statement(
    """
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:keys AS text[]), CAST(:clinics AS uuid[])) AS w(key, clinic_id)
    ), known AS (
        SELECT o.key, o.clinic_id FROM platform.key_clinic o JOIN wanted USING (key)
    ), taken AS (
        INSERT INTO platform.key_clinic (key, clinic_id)
        SELECT key, clinic_id FROM wanted WHERE key NOT IN (SELECT key FROM known) ORDER BY key
        ON CONFLICT DO NOTHING RETURNING key, clinic_id
    )
    SELECT key, clinic_id FROM known UNION ALL SELECT key, clinic_id FROM taken
    """
)
_READ = Statement("SELECT key, clinic_id FROM platform.key_clinic WHERE key = ANY(CAST(:keys AS text[]))")
