"""What a link and a session may do, and the check of the birth date."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from hmac import compare_digest, digest

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import links
from services.followup.checkins.models import CheckIn, CheckInStatus, LinkStatus, PatientLink
from services.followup.checkins.policy import CheckInPolicy
from services.followup.checkins.queries import get_check_in, get_locked
from services.followup.checkins.work import telephone_task
from services.followup.pages import sessions
from services.followup.subjects.commands import lock_patients
from services.followup.subjects.models import PatientStatus
from services.followup.tasks.commands import add
from shared.db import enter_clinic


@dataclass(frozen=True, slots=True)
class Opened:
    """A link that was found, with its check-in; the transaction is inside its clinic."""

    link: PatientLink
    check_in: CheckIn
    deceased: bool = False
    """The patient has died, as far as is known; only known where everything is locked."""

    def usable(self, now: datetime, policy: CheckInPolicy) -> bool:
        """Whether the form may still be filled in with it."""
        young = now <= self.link.created_at + policy.link_life
        return self.link.status == LinkStatus.OPEN and young and self.check_in.takes_answers(now, policy.late_answers_for)

    @property
    def answered(self) -> bool:
        """Whether the answers came through it."""
        return self.link.status == LinkStatus.USED and self.check_in.status == CheckInStatus.SUBMITTED


class Tried(StrEnum):
    """What came of a try at the birth date."""

    RIGHT = "right"
    WRONG = "wrong"
    DEAD = "dead"


async def open_link(db: AsyncSession, token: str, *, lock: bool = False) -> Opened | None:
    """Find a link by its token and enter its clinic; None when it never was."""
    if len(token) != links.TOKEN_LENGTH:
        return None
    token_sha256 = links.hash_of(token)
    place = await links.place_of(db, token_sha256)
    if place is None:
        return None
    await enter_clinic(db, place.clinic_id)
    return await _opened(db, token_sha256, lock=lock)


async def open_session(db: AsyncSession, session: str | None, *, lock: bool = False) -> Opened | None:
    """Find the link of a session and enter its clinic; None when the session never was or has ended."""
    place = await sessions.place_of(db, session) if session else None
    if place is None:
        return None
    await enter_clinic(db, place.clinic_id)
    return await _opened(db, place.token_sha256, lock=lock)


async def try_birth_date(db: AsyncSession, opened: Opened, birth_date: date, now: datetime, policy: CheckInPolicy) -> Tried:
    """Compare a birth date; the last wrong try kills the link, for good, and makes a task for a person."""
    link = opened.link
    if compare_digest(birth_date_hash(birth_date, link.birth_date_salt), link.birth_date_hash):
        return Tried.RIGHT
    link.wrong_tries += 1
    if link.wrong_tries < policy.max_wrong_tries:
        return Tried.WRONG
    link.status = LinkStatus.DEAD
    await add(db, [telephone_task(opened.check_in, now, "link-dead")])
    return Tried.DEAD


def birth_date_hash(birth_date: date, salt: str) -> str:
    """As intake makes it: HMAC-SHA256 over the date as YYYY-MM-DD, keyed by the salt's bytes; salt and hash in hexadecimal."""
    return digest(bytes.fromhex(salt), birth_date.isoformat().encode("ascii"), "sha256").hex()


async def _opened(db: AsyncSession, token_sha256: bytes, *, lock: bool) -> Opened | None:
    """Locked in the order of everybody: the patient, the check-in, the link."""
    link = await links.find_link(db, token_sha256)
    if link is None:
        return None
    check_in = await get_check_in(db, link.check_in_id)
    if not lock:
        return Opened(link, check_in)
    standing = (await lock_patients(db, [check_in.patient_id]))[check_in.patient_id]
    check_in = await get_locked(db, link.check_in_id)
    locked = await links.find_link(db, token_sha256, lock=True)
    assert locked is not None
    return Opened(locked, check_in, deceased=standing.status is PatientStatus.DECEASED)
