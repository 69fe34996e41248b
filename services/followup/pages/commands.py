"""What a link and a session may do, the check of the birth date, and what becomes of what was sent."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import answers as answering
from services.followup.checkins import links
from services.followup.checkins.birth_dates import BirthDates, Hashed
from services.followup.checkins.forms import Answers
from services.followup.checkins.models import ANSWERABLE, CheckIn, CheckInStatus, LinkStatus, PatientLink
from services.followup.checkins.policy import CheckInPolicy, CheckInSetup
from services.followup.checkins.queries import get_locked
from services.followup.checkins.work import Lapse, telephone_task
from services.followup.pages.drafts import Note
from services.followup.pages.facts import PageFacts
from services.followup.subjects.commands import lock_patients
from services.followup.subjects.models import Clinic, Patient, PatientStatus
from services.followup.tasks.commands import add
from shared.db import clinic_of, enter_clinic

_NO_CLINIC = UUID(int=0)
"""Where a token that never was is looked for, so that it takes the same statements as one that is over."""


class Ending(StrEnum):
    """Why a form takes no answers any more."""

    CALLED_OFF = "called-off"
    REPLACED = "replaced"
    TOO_MANY_TRIES = "too-many-tries"
    LINK_CLOSED = "link-closed"
    """By us: messages go another way now, or a person asks instead."""
    TIME_PASSED = "time-passed"


_LAPSES = {Ending.TOO_MANY_TRIES: Lapse.LINK_DEAD, Ending.LINK_CLOSED: Lapse.LINK_CLOSED, Ending.TIME_PASSED: Lapse.TIME_PASSED}
"""Of the endings that leave the check-in itself as it was; the others are states of it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A link that was found, with its check-in; the transaction is inside its clinic."""

    link: PatientLink
    check_in: CheckIn
    deceased: bool
    """The patient is recorded as dead; that may be a mistake."""
    clinic_active: bool
    """As far as is known: intake is asked where a page is shown."""

    def ending(self, now: datetime, policy: CheckInPolicy) -> Ending | None:
        """Why it takes no answers, or None where it does, or has got them."""
        if self.answered:
            return None
        if self.deceased or self.check_in.status == CheckInStatus.CANCELLED:
            return Ending.CALLED_OFF
        if self.check_in.status == CheckInStatus.SUPERSEDED:
            return Ending.REPLACED
        if self.link.status == LinkStatus.DEAD:
            return Ending.TOO_MANY_TRIES if self.link.wrong_tries >= policy.max_wrong_tries else Ending.LINK_CLOSED
        young = now <= self.link.created_at + policy.link_life
        usable = self.link.status == LinkStatus.OPEN and young and self.check_in.takes_answers(now, policy.late_answers_for)
        return None if usable else Ending.TIME_PASSED

    def usable(self, now: datetime, policy: CheckInPolicy) -> bool:
        """Whether the form may still be filled in with it."""
        return not self.answered and self.ending(now, policy) is None

    def lapse(self, of_session: Lapse | None, now: datetime, policy: CheckInPolicy) -> Lapse | None:
        """Why answers to a check-in that takes some are not taken through it: the session of their form is looked at last."""
        if self.check_in.status not in ANSWERABLE:
            return None
        ending = self.ending(now, policy)
        if ending is not None:
            return _LAPSES.get(ending)
        return of_session if self.clinic_active else Lapse.CLINIC_INACTIVE

    @property
    def answered(self) -> bool:
        """Whether the answers came through it."""
        return self.link.status == LinkStatus.USED and self.check_in.status == CheckInStatus.SUBMITTED


class Tried(StrEnum):
    """What came of a try at the birth date."""

    RIGHT = "right"
    WRONG = "wrong"
    DEAD = "dead"


async def open_token(db: AsyncSession, token: str, now: datetime, policy: CheckInPolicy, *, lock: bool = False) -> Opened | None:
    """Find a link that can be used by its token, and enter its clinic. For any other there is None, after the same work: it is not read."""
    token_sha256 = links.hash_of(token)
    place = await links.place_of(db, token_sha256)
    await enter_clinic(db, _NO_CLINIC if place is None else place.clinic_id)
    opened = await _opened(db, token_sha256, *_usable(now, policy), lock=lock)
    return opened if opened is not None and opened.usable(now, policy) else None


async def open_check_in(db: AsyncSession, clinic_id: UUID, token: str, *, lock: bool = False) -> Opened | None:
    """Find the link of a session or of a form's mark, and enter its clinic."""
    await enter_clinic(db, clinic_id)
    return await _opened(db, links.hash_of(token), lock=lock)


def renew(link: PatientLink, facts: PageFacts, birth_dates: BirthDates) -> None:
    """Take over what intake says now: it is the last known the next time that intake is away."""
    link.keep_birth_date(birth_dates.proof(Hashed(facts.birth_date_salt, facts.birth_date_hash)))
    link.sender_name, link.clinic_phone, link.crisis_line = facts.sender_name, facts.clinic_phone, facts.crisis_line


async def try_birth_date(
    db: AsyncSession, opened: Opened, birth_date: date, birth_dates: BirthDates, now: datetime, policy: CheckInPolicy
) -> Tried:
    """Compare a birth date with the last known one; the last wrong try kills the link, for good, and makes a task for a person."""
    link = opened.link
    links.seal_birth_date(link, birth_dates)
    if birth_dates.fits(birth_date, link.birth_date_hash):
        return Tried.RIGHT
    link.wrong_tries += 1
    if link.wrong_tries < policy.max_wrong_tries:
        return Tried.WRONG
    link.status = LinkStatus.DEAD
    link.forget_birth_date()
    await add(db, [telephone_task(opened.check_in, now, "link-dead")])
    return Tried.DEAD


async def take(
    db: AsyncSession, opened: Opened, answers: Answers, now: datetime, setup: CheckInSetup, *, complete: bool, lapse: Lapse | None
) -> Note | None:
    """What becomes of answers whose form says whose they are: saved, or not and why; None where they are saved.

    Where they are not, what worries in them is heard all the same, also of a patient who is recorded as dead.
    """
    check_in_id = opened.check_in.check_in_id
    if opened.answered and await answering.are_stored(db, check_in_id, answers):
        return None
    lapse = opened.lapse(lapse, now, setup.policy)
    if lapse is None and opened.usable(now, setup.policy):
        if complete:
            await answering.submit(db, check_in_id, answers, now, setup)
            return None
        await answering.keep_refused(db, check_in_id, answers, now, setup)
        return Note.INCOMPLETE
    await answering.hear(db, check_in_id, answers, now, setup, lapse=lapse, recorded_dead=opened.deceased)
    return Note.SENT_BEFORE if opened.answered else Note.UNSAVED


def _usable(now: datetime, policy: CheckInPolicy) -> tuple[ColumnElement[bool], ...]:
    """``Opened.usable`` as a condition."""
    return (
        col(PatientLink.status) == LinkStatus.OPEN,
        col(PatientLink.created_at) >= now - policy.link_life,
        col(CheckIn.status).in_(ANSWERABLE),
        col(CheckIn.expires_at) >= now - policy.late_answers_for,
        col(Patient.status) != PatientStatus.DECEASED,
    )


async def _opened(db: AsyncSession, token_sha256: bytes, *where: ColumnElement[bool], lock: bool) -> Opened | None:
    """In one statement; locked in the order of everybody: the patient, the check-in, the link."""
    query = (
        select(PatientLink, CheckIn, Patient.status, Clinic.active)
        .join(CheckIn, (col(CheckIn.clinic_id) == PatientLink.clinic_id) & (col(CheckIn.check_in_id) == PatientLink.check_in_id))
        .join(Patient, (col(Patient.clinic_id) == CheckIn.clinic_id) & (col(Patient.patient_id) == CheckIn.patient_id))
        .outerjoin(Clinic, col(Clinic.clinic_id) == PatientLink.clinic_id)
        .where(PatientLink.clinic_id == clinic_of(db), PatientLink.token_sha256 == token_sha256, *where)
    )
    found = (await db.exec(query)).first()
    if found is None:
        return None
    link, check_in, status, active = found
    if lock:
        status = (await lock_patients(db, [check_in.patient_id]))[check_in.patient_id].status
        check_in = await get_locked(db, check_in.check_in_id)
        locked = await links.find_link(db, token_sha256, lock=True)
        assert locked is not None
        link = locked
    return Opened(link, check_in, deceased=status is PatientStatus.DECEASED, clinic_active=active is not False)
