"""Sessions of patients: one for each time that a birth date fitted, so that two links in one browser are two sessions.

A session's token is sealed and says whose it is; whether it still runs stands in the database, which keeps a hash of it. Real time, as
for every credential. In addresses a session goes by its handle, which is no secret and opens nothing.
"""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from hashlib import sha256

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.pages.seals import Mark, Whose

_HANDLE_BYTES = 9


@dataclass(frozen=True)
class Session:
    """A session that was once opened by a right birth date; it may have ended."""

    token: str
    whose: Whose

    @cached_property
    def token_sha256(self) -> bytes:
        """What the database knows it by."""
        return sha256(self.token.encode("ascii")).digest()

    @property
    def handle(self) -> str:
        """What addresses and cookies call it."""
        return handle_of(self.token_sha256)

    @property
    def mark(self) -> Mark:
        """Of a form that is shown in it."""
        return Mark(self.whose, self.token_sha256)


def handle_of(session_sha256: bytes) -> str:
    """The handle of a session by its hash."""
    return urlsafe_b64encode(session_sha256[:_HANDLE_BYTES]).decode("ascii")


async def begin(db: AsyncSession, session: Session, link_sha256: bytes, life: timedelta, *, at_most: int) -> None:
    """Let a session run; of the sessions of one link the oldest end when there would be more than ``at_most``."""
    await db.execute(_PURGE)
    await db.execute(_MAKE_ROOM, {"token_sha256": link_sha256, "others": at_most - 1})
    given = {"session": session.token_sha256, "clinic_id": session.whose.clinic_id, "token_sha256": link_sha256}
    await db.execute(_BEGIN, {**given, "seconds": life / timedelta(seconds=1)})


async def runs(db: AsyncSession, session_sha256: bytes) -> bool:
    """Whether a session has not ended."""
    return (await db.execute(_RUNS, {"session": session_sha256})).first() is not None


async def end(db: AsyncSession, sessions_sha256: list[bytes]) -> None:
    """End sessions, for good."""
    await db.execute(_END, {"sessions": sessions_sha256})


_PURGE = text("DELETE FROM platform.check_in_session WHERE expires_at < clock_timestamp()")
_MAKE_ROOM = text(
    """
    DELETE FROM platform.check_in_session WHERE session_sha256 IN (
        SELECT session_sha256 FROM platform.check_in_session WHERE token_sha256 = :token_sha256 ORDER BY expires_at DESC OFFSET :others
    )
    """
)
_BEGIN = text(
    """
    INSERT INTO platform.check_in_session (session_sha256, clinic_id, token_sha256, expires_at)
    VALUES (:session, :clinic_id, :token_sha256, clock_timestamp() + make_interval(secs => :seconds))
    """
)
_RUNS = text("SELECT 1 FROM platform.check_in_session WHERE session_sha256 = :session AND expires_at >= clock_timestamp()")
_END = text("DELETE FROM platform.check_in_session WHERE session_sha256 = ANY(CAST(:sessions AS bytea[]))")
