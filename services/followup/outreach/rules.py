"""When a message may leave, and to whom: values in, values out.

Both are judged from what intake says at the moment of sending, never from what was known when the message was queued.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.followup.local_time import after_quiet_hours
from services.followup.outreach.contacts import Contact
from shared.events.zones import zone_of

NOT_IN_CARE = frozenset({"deceased", "withdrawn"})
"""Intake's reasons after which nobody is to call either."""
CLINIC_INACTIVE = "clinic-inactive"
"""Intake's reason that may pass: the message waits."""


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
    links_at_most: int
    """How many links one check-in may have; where the address changes once more, a person calls."""
    look_again: timedelta
    """How long a message of an inactive clinic waits before intake is asked again."""

    def speaks(self, language: str) -> str | None:
        """The language among ours that serves someone who wants ``language`` (BCP 47), or None: by lookup (RFC 4647, section 3.4)."""
        ours, wanted = {one.lower(): one for one in self.languages}, language.lower().split("-")
        return next((ours[tag] for size in range(len(wanted), 0, -1) if (tag := "-".join(wanted[:size])) in ours), None)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a message can be sent to, and what its link must know. ``language`` is one of ours."""

    channel: str
    address: str
    language: str
    zone: ZoneInfo
    birth_date_salt: str
    birth_date_hash: str
    sender_name: str
    clinic_phone: str
    crisis_line: str
    contact_version: int
    """Counts the ways by which messages went to this patient; a link is only as good as the way by which it went."""


class Unreachable(NamedTuple):
    """Why no message can be sent: a code of intake's or of ours."""

    reason: str

    @property
    def to_be_called(self) -> bool:
        """Whether a person is to call instead."""
        return self.reason not in NOT_IN_CARE


class Held(NamedTuple):
    """Why a message must not leave yet, and when to look again; the reason is a code for the log."""

    reason: str
    until: datetime


def judge(
    contact: Contact, channels: Collection[str], policy: OutreachPolicy, now: datetime, *, known_zone: str
) -> Recipient | Held | Unreachable:
    """Read intake's answer: somebody to send to now over one of these channels, or the reason why not yet or why not at all."""
    if contact.reason == CLINIC_INACTIVE:
        return Held(CLINIC_INACTIVE, now + policy.look_again)
    found = recipient_of(contact, channels, policy, known_zone=known_zone)
    if isinstance(found, Unreachable):
        return found
    leaves_at = policy.quiet.leaves_at(now, found.zone)
    return found if leaves_at == now else Held("quiet-hours", leaves_at)


def recipient_of(contact: Contact, channels: Collection[str], policy: OutreachPolicy, *, known_zone: str) -> Recipient | Unreachable:
    """Somebody to send to over one of these channels, at whatever time, or the reason why not.

    ``known_zone`` is the zone that was known last; it counts only beside an intake of the release before, which tells none.
    """
    if not contact.may_send:
        return Unreachable(contact.reason or "not-allowed")
    if contact.channel is None or contact.channel not in channels or not contact.address:
        return Unreachable("channel-not-served")
    if contact.birth_date_salt is None or contact.birth_date_hash is None:
        return Unreachable("birth-date-unknown")
    language = policy.speaks(contact.language or "")
    if language is None:
        return Unreachable("language-not-served")
    try:
        zone = zone_of(contact.time_zone or known_zone)
    except ValueError:
        return Unreachable("time-zone-unknown")
    return Recipient(
        channel=contact.channel,
        address=contact.address,
        language=language,
        zone=zone,
        birth_date_salt=contact.birth_date_salt,
        birth_date_hash=contact.birth_date_hash,
        sender_name=contact.sender_name,
        clinic_phone=contact.clinic_phone,
        crisis_line=contact.crisis_line,
        contact_version=contact.contact_version,
    )
