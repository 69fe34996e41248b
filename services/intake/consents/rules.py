import calendar
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo


class ConsentType(StrEnum):
    TREATMENT = "treatment"
    MESSAGING = "messaging"
    DISCLOSURE = "disclosure"


class ConsentStatus(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Signature(Protocol):
    """What a decision needs to know of a consent."""

    @property
    def signed_at(self) -> datetime: ...
    @property
    def valid_until(self) -> datetime: ...
    @property
    def revoked_at(self) -> datetime | None: ...


def valid_until(signed_at: datetime, months: int, zone: ZoneInfo) -> datetime:
    """The last moment of the last valid day: ``months`` calendar months after the local date of the signature, that day included.

    A day that the target month lacks becomes its last one (29 February + 12 months: 28 February).
    """
    last_day = _months_later(signed_at.astimezone(zone).date(), months)
    midnight_after = datetime.combine(last_day + timedelta(days=1), time.min, zone)
    return midnight_after.astimezone(UTC) - timedelta(microseconds=1)


def status_of(consent: Signature, now: datetime) -> ConsentStatus:
    """A revoked consent stays revoked; otherwise it expires after its last valid moment."""
    if consent.revoked_at is not None:
        return ConsentStatus.REVOKED
    return ConsentStatus.ACTIVE if now <= consent.valid_until else ConsentStatus.EXPIRED


def standing(consents: Iterable[Signature], now: datetime) -> ConsentStatus | None:
    """How a patient's consents of one type stand together: None when there never was one.

    Revoking takes back everything signed up to then, so an older signature does not come back to life.
    """
    known = list(consents)
    revoked_at = max((consent.revoked_at for consent in known if consent.revoked_at), default=None)
    since = [consent for consent in known if revoked_at is None or consent.signed_at > revoked_at]
    if not since:
        return ConsentStatus.REVOKED if known else None
    return min((status_of(consent, now) for consent in since), key=list(ConsentStatus).index)


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
