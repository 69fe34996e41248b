"""The steps of one message's way out that touch the database, each inside a transaction of the message's clinic."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import links
from services.followup.checkins.birth_dates import BirthDates, Hashed
from services.followup.checkins.models import WAITING, CheckIn, CheckInStatus, LinkStatus, PatientLink
from services.followup.checkins.queries import get_locked
from services.followup.checkins.work import telephone_task
from services.followup.outreach.channels import Outgoing
from services.followup.outreach.commands import find_message, forget
from services.followup.outreach.corrections import call_back
from services.followup.outreach.models import Message, MessageStatus
from services.followup.outreach.rules import Held, Recipient, Unreachable
from services.followup.outreach.texts import MessageText
from services.followup.subjects.contact import contact_version_of
from services.followup.tasks.commands import add
from shared.db import clinic_of


@dataclass(frozen=True, slots=True)
class Claim:
    """One message of the queue, ours until its lease ends. ``attempts`` counts this one, ``failures`` those before that nobody expected."""

    message_id: UUID
    clinic_id: UUID
    attempts: int
    failures: int


@dataclass(frozen=True, slots=True)
class Letters:
    """What turns a message into something that can be read. Without ``secret`` nobody can guess a link."""

    secret: bytes
    public_url: str
    texts: Mapping[str, MessageText]

    def token(self, message: Message) -> str:
        """The token of a message's link, the same at every try."""
        return links.token_of(self.secret, message.check_in_id, message.issue)

    def written(self, message: Message, recipient: Recipient) -> Outgoing:
        """The message as it leaves."""
        content, link = self.texts[recipient.language], f"{self.public_url}/c/{self.token(message)}"
        return Outgoing(
            message_id=message.message_id,
            channel=recipient.channel,
            address=recipient.address,
            language=recipient.language,
            sender_name=recipient.sender_name,
            subject=content.subject,
            text=content.filled(sender=recipient.sender_name, link=link, phone=recipient.clinic_phone),
            link=link,
        )


class ContactChanged(Exception):
    """Events have told of a newer contact than the one that intake answered, or may have answered: to be asked again."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom a message is for, and the number of its link. The zone is the one that was known when the check-in was planned.

    ``known_way`` is the newest way that was known before intake was asked.
    """

    patient_id: UUID
    known_zone: str
    issue: int
    known_way: int


async def wanted(db: AsyncSession, claim: Claim, now: datetime) -> Wanted | None:
    """Whom to write to, or None when the message is settled already."""
    check_in, message = await _load(db, claim)
    if await _settled(db, check_in, message, now):
        return None
    known_way = await contact_version_of(db, message.patient_id)
    return Wanted(message.patient_id, check_in.patient_time_zone, message.issue, known_way)


async def hold(db: AsyncSession, claim: Claim, held: Held, now: datetime) -> None:
    """Look at the message again at a later time, should it still be queued then."""
    check_in, message = await _load(db, claim)
    if await _settled(db, check_in, message, now):
        return
    message.leaves_at = held.until
    await db.execute(_POSTPONE, {"message_id": message.message_id, "leaves_at": held.until})


async def prepare(
    db: AsyncSession, claim: Claim, recipient: Recipient, now: datetime, letters: Letters, *, known_way: int
) -> Outgoing | None:
    """The last look before a message leaves, and its link; None when it must not leave any more. Raises ContactChanged.

    What may have left to an earlier address is never sent again with that link: the next one is queued, with a link of its own.
    """
    check_in, message = await _load(db, claim)
    if await _settled(db, check_in, message, now):
        return None
    way = await _way(db, message.patient_id, recipient, known_way)
    may_have_left = message.handed_over_at is not None
    if may_have_left and await call_back(db, [check_in], way, now):
        return None
    link = await links.keep(db, _link(message, recipient, way, letters, now))
    if link.status != LinkStatus.OPEN:
        await _came_through(db, message, now)
        return None
    message.handed_over_at, message.channel = now, recipient.channel
    message.attempts += 1
    return letters.written(message, recipient)


async def mark_sent(db: AsyncSession, claim: Claim, now: datetime) -> None:
    """The channel has taken it."""
    _, message = await _load(db, claim)
    await _came_through(db, message, now)


async def give_up(db: AsyncSession, claim: Claim, why: Unreachable, now: datetime) -> None:
    """Nothing leaves; a person takes over, unless there is nobody to call."""
    check_in, message = await _load(db, claim)
    if await _settled(db, check_in, message, now):
        return
    message.not_sent(why.reason)
    await forget(db, [message.message_id])
    if why.to_be_called:
        await add(db, [telephone_task(check_in, now, why.reason)])


async def _settled(db: AsyncSession, check_in: CheckIn, message: Message, now: datetime) -> bool:
    """Whether nothing is left to do: called off with its check-in, or answered, so that an earlier try of ours had come through."""
    queued = message.status == MessageStatus.QUEUED
    if queued and check_in.status in WAITING:
        return False
    if queued and check_in.status == CheckInStatus.SUBMITTED:
        await _came_through(db, message, now)
    await forget(db, [message.message_id])
    return True


async def _came_through(db: AsyncSession, message: Message, now: datetime) -> None:
    if message.status != MessageStatus.SENT:
        message.sent(message.handed_over_at or now)
    await forget(db, [message.message_id])


async def _way(db: AsyncSession, patient_id: UUID, recipient: Recipient, known_before: int) -> int:
    """The count of the way that intake answered. Raises ContactChanged where a newer one is known.

    Where intake, of the release before, does not count, its answer is the way that was known before it was asked: it reads the address that
    holds at that moment, and a newer way that was heard of meanwhile may have come after it.
    """
    known = await contact_version_of(db, patient_id)
    way = known_before if recipient.contact_version is None else recipient.contact_version
    if way < known:
        raise ContactChanged
    return way


def _link(message: Message, recipient: Recipient, way: int, letters: Letters, now: datetime) -> PatientLink:
    proof = BirthDates(letters.secret).proof(Hashed(recipient.birth_date_salt, recipient.birth_date_hash))
    return PatientLink(
        clinic_id=message.clinic_id,
        check_in_id=message.check_in_id,
        issue=message.issue,
        token_sha256=links.hash_of(letters.token(message)),
        birth_date_hash=proof,
        language=recipient.language,
        sender_name=recipient.sender_name,
        clinic_phone=recipient.clinic_phone,
        crisis_line=recipient.crisis_line,
        contact_version=way,
        created_at=now,
    )


async def _load(db: AsyncSession, claim: Claim) -> tuple[CheckIn, Message]:
    """The check-in and the message, locked after their patient, the check-in first as everywhere."""
    check_in_id = (await db.execute(_LOCK_PATIENT, {"clinic_id": clinic_of(db), "message_id": claim.message_id})).scalar_one()
    check_in = await get_locked(db, check_in_id)
    message = await find_message(db, claim.message_id)
    assert message is not None
    return check_in, message


_LOCK_PATIENT = text(
    """
    SELECT m.check_in_id FROM message m JOIN patient p ON p.clinic_id = m.clinic_id AND p.patient_id = m.patient_id
    WHERE m.clinic_id = CAST(:clinic_id AS uuid) AND m.message_id = :message_id
    FOR NO KEY UPDATE OF p
    """
)
_POSTPONE = text(
    "UPDATE platform.message_queue SET leaves_at = :leaves_at, attempts = 0, free_at = clock_timestamp() WHERE message_id = :message_id"
)
