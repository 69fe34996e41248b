from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from shared.events.intake import BEGINNING, Span


class PatientStatus(StrEnum):
    ACTIVE = "active"
    WITHDRAWN = "withdrawn"
    DECEASED = "deceased"


class Channel(StrEnum):
    """How a patient prefers to be reached. The last four are work for staff; nothing is sent by machine."""

    EMAIL = "email"
    SMS = "sms"
    PHONE_STAFF = "phone-staff"
    POST = "post"
    IN_PERSON = "in-person"
    PAPER = "paper"


class RequestedBy(StrEnum):
    """Who asked for a change that was recorded here."""

    PATIENT = "patient"
    LEGAL_REPRESENTATIVE = "legal-representative"
    CLINIC = "clinic"


class Change(StrEnum):
    """What may happen to a patient besides corrections."""

    DEATH = "death"
    WITHDRAWAL = "withdrawal"
    DEATH_ENTERED_IN_ERROR = "death/entered-in-error"
    WITHDRAWAL_ENTERED_IN_ERROR = "withdrawal/entered-in-error"
    MESSAGE_OPT_OUT = "message-opt-out"
    MESSAGE_OPT_IN = "message-opt-in"


ELECTRONIC = frozenset({Channel.EMAIL, Channel.SMS})


def allowed_changes(status: PatientStatus, *, opted_out: bool) -> list[Change]:
    """What may still be recorded. After a death, only that there was none; a withdrawn patient can still opt out of, or into, messages."""
    if status is PatientStatus.DECEASED:
        return [Change.DEATH_ENTERED_IN_ERROR]
    changes = [Change.DEATH, Change.WITHDRAWAL if status is PatientStatus.ACTIVE else Change.WITHDRAWAL_ENTERED_IN_ERROR]
    return [*changes, Change.MESSAGE_OPT_IN if opted_out else Change.MESSAGE_OPT_OUT]


def messages_allowed(status: PatientStatus, channel: Channel, *, opted_out: bool) -> bool:
    """Whether anything may be sent by machine, as far as the patient's own record says; consent is asked for besides."""
    return status is PatientStatus.ACTIVE and channel in ELECTRONIC and not opted_out


def end_of_life(died_on: date | None, recorded_at: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which the patient counts as dead: after the whole day of the death, and never later than it was recorded."""
    if died_on is None:
        return recorded_at
    return min(datetime.combine(died_on + timedelta(days=1), time.min, zone).astimezone(UTC), recorded_at)


def active_spans(ends: Collection[datetime]) -> list[Span]:
    """When a patient was alive and in the programme: until the first of these ends, of which there may be none."""
    until = min(ends, default=None)
    return [Span(since=BEGINNING, until=until)] if until is None or until > BEGINNING else []


def message_address(channel: Channel, *, email: str | None, phone: str | None) -> str | None:
    """Where a message by machine goes; None where none goes."""
    return {Channel.EMAIL: email, Channel.SMS: phone}.get(channel)


def missing_address(channel: Channel, *, email: str | None, phone: str | None) -> str | None:
    """The name of the contact detail that the preferred channel needs and that is not there."""
    needed: Mapping[Channel, tuple[str, str | None]] = {
        Channel.EMAIL: ("email", email),
        Channel.SMS: ("phone", phone),
        Channel.PHONE_STAFF: ("phone", phone),
    }
    name, value = needed.get(channel, ("", "not needed"))
    return None if value else name


def display_name(given: str | None, family: str | None, *, preferred: str | None) -> str:
    """What somebody is called on a page: by the preferred name before the given one, and by one name where there is one."""
    return " ".join(name for name in (preferred or given, family) if name)


def age_on(birth_date: date, day: date) -> int:
    """Completed years of life on a day; somebody born on 29 February has the birthday on 1 March of other years."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))


def patient_number(running: int) -> str:
    """How a clinic's running number is written: ``P-000123``."""
    return f"P-{running:06d}"
