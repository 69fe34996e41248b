"""When a message may leave, and to whom: values in, values out.

Both are judged from what intake says at the moment of sending, never from what was known when the message was queued.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
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
    default_language: str | None
    """The clinic's own, for who wants a language that we do not have; None: a person calls."""

    def speaks(self, language: str) -> str | None:
        """The language among ours that serves someone who wants ``language`` (BCP 47), by lookup (RFC 4647, section 3.4)."""
        ours, wanted = {one.lower(): one for one in self.languages}, language.lower().split("-")
        return next((ours[tag] for size in range(len(wanted), 0, -1) if (tag := "-".join(wanted[:size])) in ours), self.default_language)


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
    contact_version: int | None
    """Counts the ways by which messages went to this patient; a link is only as good as the way by which it went. None: not counted."""


class Waits(StrEnum):
    """Why a message was not taken now and is tried again, for the log."""

    CHANNEL_AWAY = "channel-away"
    MAIL_SERVER_AWAY = "mail-server-away"
    MAILBOX_BUSY = "mailbox-busy"
    """Full, or not yet trusted: the server says that it may take the message later."""
    SERVER_BUSY = "server-busy"
    LOGIN_REFUSED = "login-refused"
    SENDER_REFUSED = "sender-refused"
    TLS_REFUSED = "tls-refused"
    NOT_OFFERED = "not-offered"
    """The server has no encryption or no login to offer, though the settings ask for it."""
    SERVER_REFUSES = "server-refuses"
    """It answers that it takes nothing from us."""
    CONTACT_CHANGED = "contact-changed"
    NO_ANSWER = "no-answer"
    """Of intake or the database."""
    TOOK_TOO_LONG = "took-too-long"


OURS_TO_MEND = frozenset({Waits.LOGIN_REFUSED, Waits.SENDER_REFUSED, Waits.TLS_REFUSED, Waits.NOT_OFFERED, Waits.SERVER_REFUSES})
"""What no waiting mends: the operator's settings, or the mail server's. No patient's message leaves until somebody looks."""


class NotSent(StrEnum):
    """Our own reasons why a message is not sent at all; intake has others."""

    NOT_ALLOWED = "not-allowed"
    CHANNEL_NOT_SERVED = "channel-not-served"
    BIRTH_DATE_UNKNOWN = "birth-date-unknown"
    LANGUAGE_NOT_SERVED = "language-not-served"
    TIME_ZONE_UNKNOWN = "time-zone-unknown"
    CONTACT_CHANGES_OFTEN = "contact-changes-often"
    ADDRESS_NOT_DELIVERABLE = "address-not-deliverable"
    """Our own mail library or the mail server's abilities refuse it, before the server is asked."""
    ADDRESS_REFUSED = "address-refused"
    MESSAGE_REFUSED = "message-refused"
    NOT_HANDED_OVER = "not-handed-over"


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
        return Unreachable(contact.reason or NotSent.NOT_ALLOWED)
    if contact.channel is None or contact.channel not in channels or not contact.address:
        return Unreachable(NotSent.CHANNEL_NOT_SERVED)
    if contact.birth_date_salt is None or contact.birth_date_hash is None:
        return Unreachable(NotSent.BIRTH_DATE_UNKNOWN)
    language = policy.speaks(contact.language or "")
    if language is None:
        return Unreachable(NotSent.LANGUAGE_NOT_SERVED)
    try:
        zone = zone_of(contact.time_zone or known_zone)
    except ValueError:
        return Unreachable(NotSent.TIME_ZONE_UNKNOWN)
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
