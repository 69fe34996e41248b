"""Links of patients: the token, and the table that tells to which clinic a token belongs before anything of a clinic can be read.

For now every check-in has a link of its own, so a patient with two open check-ins holds two links.
"""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from hmac import digest
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import CursorResult, text, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins.birth_dates import NOT_KEPT, BirthDates, Hashed
from services.followup.checkins.models import LinkStatus, PatientLink
from shared.db import clinic_of


def token_of(secret: bytes, check_in_id: UUID, issue: int) -> str:
    """The token of a check-in's link: the same again for a message that is sent again, and unguessable without the secret."""
    keyed = digest(secret, b"afterglow check-in link\0" + check_in_id.bytes + issue.to_bytes(4, "big"), "sha256")
    return urlsafe_b64encode(keyed).rstrip(b"=").decode("ascii")


def hash_of(token: str) -> bytes:
    """What is stored of a token."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


class LinkPlace(NamedTuple):
    """Where a token leads."""

    clinic_id: UUID
    check_in_id: UUID


async def place_of(db: AsyncSession, token_sha256: bytes) -> LinkPlace | None:
    """The clinic and check-in of a token, outside any clinic; None for a token that never was."""
    row = (await db.execute(_PLACE, {"token_sha256": token_sha256})).first()
    return None if row is None else LinkPlace(row.clinic_id, row.check_in_id)


async def find_link(db: AsyncSession, token_sha256: bytes, *, lock: bool = False) -> PatientLink | None:
    """The link of a token, inside its clinic."""
    query = select(PatientLink).where(PatientLink.clinic_id == clinic_of(db), PatientLink.token_sha256 == token_sha256)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return (await db.exec(query)).first()


async def keep(db: AsyncSession, link: PatientLink) -> PatientLink:
    """Store a link that is about to be sent, and return it as it is stored; on a retry only what intake says now is replaced."""
    stored = await find_link(db, link.token_sha256, lock=True)
    if stored is None:
        db.add(link)
        await db.flush()
        await db.execute(_KEEP, {"token_sha256": link.token_sha256, "clinic_id": link.clinic_id, "check_in_id": link.check_in_id})
        return link
    stored.keep_birth_date(link.birth_date_hash)
    stored.sender_name, stored.clinic_phone, stored.crisis_line = link.sender_name, link.clinic_phone, link.crisis_line
    stored.contact_version = link.contact_version
    await db.flush()
    return stored


def seal_birth_date(link: PatientLink, birth_dates: BirthDates) -> None:
    """Take what the release before kept of a birth date out of a link: sealed where it is open, else gone."""
    if link.birth_date_salt == NOT_KEPT:
        return
    proof = birth_dates.proof(Hashed(link.birth_date_salt, link.birth_date_hash))
    link.keep_birth_date(proof if link.status == LinkStatus.OPEN else NOT_KEPT)


async def close(db: AsyncSession, check_in_ids: Sequence[UUID], status: LinkStatus) -> int:
    """Use up or kill the open links of these check-ins; returns how many there were."""
    closing = update(PatientLink).where(
        col(PatientLink.clinic_id) == clinic_of(db),
        col(PatientLink.check_in_id).in_(check_in_ids),
        col(PatientLink.status) == LinkStatus.OPEN,
    )
    result = await db.execute(closing.values(status=status, **_FORGOTTEN).execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount


async def close_older(db: AsyncSession, check_in_ids: Sequence[UUID], contact_version: int) -> dict[UUID, int]:
    """Kill the open links of these check-ins that went out by an earlier way; returns the issue of each, by check-in."""
    closing = update(PatientLink).where(
        col(PatientLink.clinic_id) == clinic_of(db),
        col(PatientLink.check_in_id).in_(check_in_ids),
        col(PatientLink.status) == LinkStatus.OPEN,
        col(PatientLink.contact_version) < contact_version,
    )
    closed = closing.values(status=LinkStatus.DEAD, **_FORGOTTEN).returning(col(PatientLink.check_in_id), col(PatientLink.issue))
    return {row.check_in_id: row.issue for row in await db.execute(closed.execution_options(synchronize_session=False))}


_FORGOTTEN = {"birth_date_salt": NOT_KEPT, "birth_date_hash": NOT_KEPT}
_PLACE = text("SELECT clinic_id, check_in_id FROM platform.check_in_link WHERE token_sha256 = :token_sha256")
_KEEP = text(
    """
    INSERT INTO platform.check_in_link (token_sha256, clinic_id, check_in_id) VALUES (:token_sha256, :clinic_id, :check_in_id)
    ON CONFLICT DO NOTHING
    """
)
