import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from shared.events.intake import Span


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
    def recorded_at(self) -> datetime: ...
    @property
    def valid_until(self) -> datetime: ...
    @property
    def revoked_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a patient's consent of one type stands, by all signatures and revocations of the type, and when it stood."""

    status: ConsentStatus
    since: datetime
    until: datetime | None
    """The first moment at which an active one stands no more."""
    stood: list[Span]


def valid_until(signed_at: datetime, months: int, zone: ZoneInfo) -> datetime:
    """The last moment of the last valid day: ``months`` calendar months after the local date of the signature, that day included.

    A day that the target month lacks becomes its last one (29 February + 12 months: 28 February).
    """
    last_day = _months_later(signed_at.astimezone(zone).date(), months)
    midnight_after = datetime.combine(last_day + timedelta(days=1), time.min, zone)
    return midnight_after.astimezone(UTC) - timedelta(microseconds=1)


def taken_back_at(consent: Signature, of_type: Iterable[Signature]) -> datetime | None:
    """When a signature was taken back: by its own revocation, or by one of any other of the type; None for one that was not.

    Revoking takes back everything signed up to then, whatever version was named and whenever the signature is entered. One that a clock
    ahead of ours dated later, and that was entered before, is taken back too.
    """
    revocations = (other.revoked_at for other in of_type if other.revoked_at is not None)
    meant = [at for at in revocations if consent.signed_at <= at or consent.recorded_at < at]
    return min([*meant, *([consent.revoked_at] if consent.revoked_at else [])], default=None)


def status_of(consent: Signature, of_type: Iterable[Signature], now: datetime) -> ConsentStatus:
    """What is taken back stays so; otherwise a consent expires after its last valid moment."""
    if taken_back_at(consent, of_type) is not None:
        return ConsentStatus.REVOKED
    return ConsentStatus.ACTIVE if now <= consent.valid_until else ConsentStatus.EXPIRED


def standing(of_type: Iterable[Signature], now: datetime) -> Standing | None:
    """How a patient's consents of one type stand together: None when there never was one. This alone decides it, for everybody."""
    known = list(of_type)
    if not known:
        return None
    stood = _merged(span for consent in known if (span := _span(consent, known)) is not None)
    statuses = [status_of(consent, known, now) for consent in known]
    if ConsentStatus.ACTIVE in statuses:
        return Standing(ConsentStatus.ACTIVE, stood[-1].since, stood[-1].until, stood)
    if ConsentStatus.EXPIRED in statuses:
        expired = [consent for consent, status in zip(known, statuses, strict=True) if status is ConsentStatus.EXPIRED]
        return Standing(ConsentStatus.EXPIRED, max(map(_end, expired)), None, stood)
    return Standing(ConsentStatus.REVOKED, max(consent.revoked_at for consent in known if consent.revoked_at), None, stood)


def _end(consent: Signature) -> datetime:
    """The first moment after the last valid one."""
    return consent.valid_until + timedelta(microseconds=1)


def _span(consent: Signature, of_type: Sequence[Signature]) -> Span | None:
    """When a signature stood; None for one that never did."""
    taken_back = taken_back_at(consent, of_type)
    until = _end(consent) if taken_back is None else min(_end(consent), taken_back)
    return Span(since=consent.signed_at, until=until) if consent.signed_at < until else None


def _merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as possible; all of them have an end."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.since):
        last = merged[-1] if merged else None
        if last is not None and last.until is not None and span.until is not None and span.since <= last.until:
            merged[-1] = Span(since=last.since, until=max(last.until, span.until))
        else:
            merged.append(span)
    return merged


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
