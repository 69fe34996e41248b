"""From the protocol's words to moments: what a time means for one anchor. All times are aware, all results in UTC."""

import calendar
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.followup.local_time import after_quiet_hours, business_days_later, on_the_clock
from services.followup.plans.entries import Entry, When
from services.followup.plans.wanted import Times


@dataclass(frozen=True, slots=True)
class Moments:
    """What a time may count from, and the zones in which clocks are read. What is not known is None, and counts in no combination."""

    zone: ZoneInfo
    clinic_zone: ZoneInfo
    known: Mapping[str, datetime | None]

    def with_(self, name: str, at: datetime | None) -> "Moments":
        """The same with one more."""
        return Moments(self.zone, self.clinic_zone, {**self.known, name: at})


def times_of(entry: Entry, moments: Moments) -> Times:
    """When an item opens, is due and expires."""
    opens_at = moment(entry.opens, moments) if entry.opens else None
    moments = moments.with_("opens", opens_at)
    due_at = moment(entry.due, moments)
    if due_at is None:
        raise ValueError(f"{entry.code}: due counts from what is not known")
    moments = moments.with_("due", due_at)
    return Times(opens_at, due_at, moment(entry.expires, moments) if entry.expires else None)


def moment(when: When, moments: Moments) -> datetime | None:
    """One time; None where all that it counts from is unknown."""
    if when.latest:
        at = _of_several(max, when.latest, moments)
    elif when.earliest:
        at = _of_several(min, when.earliest, moments)
    else:
        at = _offset(when, moments)
    if at is not None and when.not_at_night is not None:
        return after_quiet_hours(at, when.not_at_night.begins, when.not_at_night.ends, moments.zone)
    return at


def _of_several(choose: Callable[[list[datetime]], datetime], parts: Iterable[When], moments: Moments) -> datetime | None:
    known = [at for at in (moment(part, moments) for part in parts) if at is not None]
    return choose(known) if known else None


def _offset(when: When, moments: Moments) -> datetime | None:
    base = moments.known.get(when.counts_from)
    if base is None:
        return None
    if when.business_days and when.opening:
        base = business_days_later(base.astimezone(moments.clinic_zone), when.business_days, when.opening)
    if when.days or when.months or when.at:
        base = _on_the_wall(base.astimezone(moments.zone), when, moments.zone)
    return base.astimezone(UTC) + timedelta(hours=when.hours, minutes=when.minutes)


def _on_the_wall(local: datetime, when: When, zone: ZoneInfo) -> datetime:
    day = _months_later(local.date(), when.months) + timedelta(days=when.days)
    at: time = when.at if when.at is not None else local.time()
    return on_the_clock(day, at, zone)


def _months_later(day: date, months: int) -> date:
    """The same day of a later month; a month that is too short gives its last."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
