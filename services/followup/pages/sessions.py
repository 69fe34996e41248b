"""Sessions of patients: an opaque cookie for half an hour, of which the database keeps a hash. Real time, as for every credential."""

from datetime import timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import NamedTuple
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession


class SessionCookie(NamedTuple):
    """How the cookie is set. ``__Host-`` and Secure wherever the pages are served by https."""

    secure: bool
    life: timedelta

    @property
    def name(self) -> str:
        return "__Host-check-in" if self.secure else "check-in"

    def set(self, response: Response, token: str) -> None:
        """Hand the session to the browser."""
        seconds = int(self.life.total_seconds())
        response.set_cookie(self.name, token, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="lax")

    def clear(self, response: Response) -> None:
        """Make the browser forget it."""
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="lax")

    def read(self, request: Request) -> str | None:
        """What the browser sent, or None."""
        return request.cookies.get(self.name)


class SessionPlace(NamedTuple):
    """Where a session leads."""

    clinic_id: UUID
    token_sha256: bytes


async def begin(db: AsyncSession, clinic_id: UUID, token_sha256: bytes, life: timedelta) -> str:
    """Open a session for a link, and drop those that ended; returns what goes into the cookie."""
    token = token_urlsafe(32)
    await db.execute(_PURGE)
    await db.execute(
        _BEGIN, {"session": _hash(token), "clinic_id": clinic_id, "token_sha256": token_sha256, "seconds": life / timedelta(seconds=1)}
    )
    return token


async def place_of(db: AsyncSession, token: str) -> SessionPlace | None:
    """The clinic and link of a session that has not ended."""
    row = (await db.execute(_PLACE, {"session": _hash(token)})).first()
    return None if row is None else SessionPlace(row.clinic_id, row.token_sha256)


def _hash(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


_PURGE = text("DELETE FROM platform.check_in_session WHERE expires_at < clock_timestamp()")
_BEGIN = text(
    """
    INSERT INTO platform.check_in_session (session_sha256, clinic_id, token_sha256, expires_at)
    VALUES (:session, :clinic_id, :token_sha256, clock_timestamp() + make_interval(secs => :seconds))
    """
)
_PLACE = text(
    "SELECT clinic_id, token_sha256 FROM platform.check_in_session WHERE session_sha256 = :session AND expires_at >= clock_timestamp()"
)
