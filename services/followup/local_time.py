"""Wall-clock time in a zone: what a clock on the wall shows, across clock changes. Results are in UTC."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_SATURDAY = 5


def on_the_clock(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The moment when a clock in ``zone`` shows this. One skipped in spring becomes the next that there is; of two in autumn, the first."""
    earlier_offset = datetime.combine(day, at, zone).astimezone(UTC)
    if earlier_offset.astimezone(zone).replace(tzinfo=None) == datetime.combine(day, at):
        return earlier_offset
    return _end_of_gap(datetime.combine(day, at, zone).replace(fold=1).astimezone(UTC), earlier_offset, zone)


def day_begins(moment: datetime, zone: ZoneInfo) -> datetime:
    """The beginning of the day in which this moment falls, on a clock in ``zone``."""
    return on_the_clock(moment.astimezone(zone).date(), time.min, zone)


def business_days_later(local: datetime, days: int, opening: time) -> datetime:
    """The same time of day so many business days later; a weekend counts as the next opening. ``local`` is in the clinic's zone."""
    zone = local.tzinfo
    assert isinstance(zone, ZoneInfo)
    day, at = local.date(), local.time()
    if day.weekday() >= _SATURDAY:
        day, at = day + timedelta(days=7 - day.weekday()), opening
    while days:
        day += timedelta(days=1)
        days -= day.weekday() < _SATURDAY
    return on_the_clock(day, at, zone)


def after_quiet_hours(moment: datetime, begins: time, ends: time, zone: ZoneInfo) -> datetime:
    """The moment itself, or the end of the night into which it falls. The first minute of the night belongs to it, the last does not."""
    local = moment.astimezone(zone)
    if local.time() >= begins:
        return on_the_clock(local.date() + timedelta(days=1), ends, zone)
    if local.time() < ends:
        return on_the_clock(local.date(), ends, zone)
    return moment.astimezone(UTC)


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The moment between two at which the clock in ``zone`` is put forward, to the second."""
    old = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
