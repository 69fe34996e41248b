"""What is asked again and again: named 14 days ahead, so that it moves with the day from which it counts, and made when it opens."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta

from services.followup.local_time import on_the_clock
from services.followup.plans.draft import Draft, Place, item_of, moments_of
from services.followup.plans.overview import REASON_OF
from services.followup.plans.times import times_of
from services.followup.plans.wanted import Key, State, Times, Wanted

NAMED_AHEAD = timedelta(days=14)

COURSE_ENDED, COURSE_STILL_RAN, SAME_DAY = "course-ended", "course-still-ran", "same-day"


def name_series(draft: Draft, place: Place) -> None:
    """Name what is asked while the patient is followed up and, where the protocol says so, while the course runs."""
    if absence := place.absent(draft.overview):
        draft.gone[place.hangs] = REASON_OF[absence.cause]
        return
    if _depends_on_the_course(place) and place.at.course and place.at.course.ended_at:
        draft.gone[place.hangs] = COURSE_ENDED
    for number, opens_at, times in _opening(draft, place):
        if not place.passed_meanwhile(draft.overview, times):
            item = item_of(draft, place, Key(place.at.anchor_id, place.entry.code, number), times)
            _name(draft, place, _as_left_by_the_closing(item, place, opens_at))


def give_way_on_the_same_day(draft: Draft) -> None:
    """Of two that open on one day of the patient's, only one is asked where the protocol says so."""
    zone = draft.overview.facts.zone
    opening = [(item, item.times.opens_at) for item in draft.wanted.values() if item.is_open]
    days = {(item.key.code, opens_at.astimezone(zone).date()) for item, opens_at in opening if opens_at}
    for key, to in draft.may_give_way:
        item = draft.wanted[key]
        if item.is_open and item.times.opens_at and (to, item.times.opens_at.astimezone(zone).date()) in days:
            draft.wanted[key] = replace(item, state=State.SUPERSEDED, reason=SAME_DAY)


def _opening(draft: Draft, place: Place) -> Iterator[tuple[int, datetime, Times]]:
    """What opens from the first until 14 days ahead, while the course runs. The next one to open is when the plan changes by itself."""
    for number, counts_from in _days(draft, place):
        times = times_of(place.entry, moments_of(draft, place.at, counts_from))
        opens_at = times.opens_at
        if opens_at is None:
            return
        runs = not _depends_on_the_course(place) or _runs(place, opens_at)
        if runs and opens_at > draft.now:
            draft.wakes.append(opens_at)
        if opens_at > draft.now + NAMED_AHEAD:
            return
        if runs:
            yield number, opens_at, times


def _days(draft: Draft, place: Place) -> Iterator[tuple[int, datetime]]:
    """The numbers of a series, from 1, with the beginnings of the days from which their times count."""
    assert place.entry.repeat is not None
    zone = draft.overview.facts.zone
    first = place.at.counts_from.astimezone(zone).date()
    for number, day in enumerate(place.entry.repeat.each_day(), 1):
        yield number, on_the_clock(first + timedelta(days=day), time.min, zone)


def _name(draft: Draft, place: Place, item: Wanted) -> None:
    draft.wanted[item.key] = item
    if place.entry.gives_way and place.entry.gives_way.on:
        draft.may_give_way.append((item.key, place.entry.gives_way.to))


def _as_left_by_the_closing(item: Wanted, place: Place, opens_at: datetime) -> Wanted:
    """What follows the end of a course, and would have opened before the course was closed, was the course's to ask."""
    if place.at.since and opens_at < place.at.since:
        return replace(item, state=State.NOT_ASKED, reason=COURSE_STILL_RAN, offered=False)
    return item


def _depends_on_the_course(place: Place) -> bool:
    return place.entry.repeat is not None and place.entry.repeat.while_ is not None


def _runs(place: Place, at: datetime) -> bool:
    return place.at.course is None or any(span.holds(at) for span in place.at.course.runs)
