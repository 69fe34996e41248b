"""Sessions of staff. The database keeps hashes; real time, as for every credential."""

import secrets
from datetime import timedelta
from hashlib import sha256

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.security.staff_links import StaffLink

LIFE = timedelta(hours=1)
"""At least that of a link, so that one that was used is remembered for as long as it could be used again."""


async def begin(db: AsyncSession, link: str, whose: StaffLink) -> str | None:
    """A session's token for a link; None where the link was used before."""
    token = secrets.token_urlsafe(32)
    given = {"session": _hash(token), "link": _hash(link), "clinic_id": whose.clinic_id, "practitioner_id": whose.practitioner_id}
    await db.execute(_PURGE)
    begun = (await db.execute(_BEGIN, {**given, "seconds": LIFE.total_seconds()})).first()
    return None if begun is None else token


async def was_used(db: AsyncSession, link: str) -> bool:
    """Whether a link has opened a session."""
    return (await db.execute(_USED, {"link": _hash(link)})).first() is not None


async def find(db: AsyncSession, token: str) -> StaffLink | None:
    """Whose session this is, as long as it runs."""
    row = (await db.execute(_FIND, {"session": _hash(token)})).first()
    return None if row is None else StaffLink(row.clinic_id, row.practitioner_id)


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


_PURGE = text("DELETE FROM platform.staff_session WHERE expires_at < clock_timestamp()")
_BEGIN = text(
    """
    INSERT INTO platform.staff_session (session_sha256, link_sha256, clinic_id, practitioner_id, expires_at)
    VALUES (:session, :link, :clinic_id, :practitioner_id, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (link_sha256) DO NOTHING RETURNING 1
    """
)
_USED = text("SELECT 1 FROM platform.staff_session WHERE link_sha256 = :link")
_FIND = text(
    "SELECT clinic_id, practitioner_id FROM platform.staff_session WHERE session_sha256 = :session AND expires_at >= clock_timestamp()"
)
