"""When a message may leave, and to whom: values in, values out."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.followup.local_time import after_quiet_hours
from services.followup.outreach.contacts import Contact

NOT_IN_CARE = frozenset({"deceased", "withdrawn"})
"""Intake's reasons after which nobody is to call either."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """No message leaves from ``begins`` (inclusive) until ``ends``, both at the patient's place."""

    begins: time
    ends: time

    def leaves_at(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """``moment`` itself, or the end of the quiet hours it falls into. UTC in, UTC out."""
        return after_quiet_hours(moment, self.begins, self.ends, zone)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Real time to wait after a failure: doubled with each, up to a longest."""

    first: timedelta
    longest: timedelta

    def after(self, attempts: int) -> timedelta:
        """The wait after the ``attempts``-th failure in a row, counted from 1."""
        doubled = self.first * (1 << min(attempts - 1, 16))
        return min(doubled, self.longest)


@dataclass(frozen=True, slots=True)
class OutreachPolicy:
    """Clinic-owned rules of sending."""

    quiet: QuietHours
    backoff: Backoff
    failures_at_most: int
    """How often a message may fail for a reason of its own before a person takes over."""
    languages: tuple[str, ...]

    def speaks(self, language: str) -> str | None:
        """The language among ours that serves someone who wants ``language`` (BCP 47), or None."""
        return next((ours for ours in self.languages if ours == language.partition("-")[0].lower()), None)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a message can be sent to, and what its link must know. ``language`` is one of ours."""

    channel: str
    address: str
    language: str
    birth_date_salt: str
    birth_date_hash: str
    sender_name: str
    clinic_phone: str
    crisis_line: str


class Unreachable(NamedTuple):
    """Why no message can be sent: a code of intake's or of ours."""

    reason: str

    @property
    def to_be_called(self) -> bool:
        """Whether a person is to call instead."""
        return self.reason not in NOT_IN_CARE


def recipient_of(contact: Contact, channels: Collection[str], policy: OutreachPolicy) -> Recipient | Unreachable:
    """Read intake's answer: somebody to send to over one of these channels, or the reason why not."""
    if not contact.may_send:
        return Unreachable(contact.reason or "not-allowed")
    if contact.channel is None or contact.channel not in channels or not contact.address:
        return Unreachable("channel-not-served")
    if contact.birth_date_salt is None or contact.birth_date_hash is None:
        return Unreachable("birth-date-unknown")
    language = policy.speaks(contact.language or "")
    if language is None:
        return Unreachable("language-not-served")
    return Recipient(
        channel=contact.channel,
        address=contact.address,
        language=language,
        birth_date_salt=contact.birth_date_salt,
        birth_date_hash=contact.birth_date_hash,
        sender_name=contact.sender_name,
        clinic_phone=contact.clinic_phone,
        crisis_line=contact.crisis_line,
    )
