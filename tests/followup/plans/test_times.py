"""When follow-up is due: the protocol's offsets, patients' nights, clock changes."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.followup.local_time import business_days_later, on_the_clock
from services.followup.plans.entry_files import shipped_lists
from services.followup.plans.facts import Absence, Cause, Facts, Outcome, Span, Visit, VisitState
from services.followup.plans.pinned import Pinned
from services.followup.plans.plan import plan
from services.followup.plans.wanted import Key, Times

PROTOCOLS = Pinned(shipped_lists({"C24", "C72", "WK"}))
PATIENT, INFUSION, COURSE = (UUID(int=number) for number in (1, 2, 3))
NEW_YORK = ZoneInfo("America/New_York")
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
ZONES = ["America/New_York", "America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "UTC"]


def ended(at: datetime, outcome: Outcome = Outcome.COMPLETED, *, discharged_at: datetime | None = None) -> Visit:
    started_at, out = at - timedelta(minutes=40), discharged_at or at + timedelta(hours=1)
    return Visit(INFUSION, COURSE, VisitState.ENDED, None, started_at, at, out, outcome, drug_given=True)


def infusion(pump_ended: str, zone: ZoneInfo = NEW_YORK, outcome: Outcome = Outcome.COMPLETED) -> Visit:
    """One that ended when the patient's clock showed this."""
    return ended(datetime.fromisoformat(pump_ended).replace(tzinfo=zone).astimezone(UTC), outcome)


def wanted(of: Visit, zone: ZoneInfo = NEW_YORK, now: datetime | None = None, *absences: Absence) -> dict[tuple[str, int], Times]:
    """When everything after this infusion opens, is due and expires, by code and number."""
    assert of.pump_ended_at
    facts = Facts(PATIENT, zone, zone, absences=absences, visits=(of,))
    found = plan(facts, PROTOCOLS, now or of.pump_ended_at).wanted
    return {(key.code, key.number): item.times for key, item in found.items()}


def times(of: Visit, code: str, zone: ZoneInfo = NEW_YORK) -> Times:
    return wanted(of, zone)[code, 0]


def weeks_of(begun: datetime, zone: ZoneInfo, *numbers: int) -> list[Times]:
    """The weeks with these numbers, of a course whose first infusion ended then."""
    opening = begun + timedelta(days=7 * max(numbers))
    found = wanted(ended(begun), zone, opening)
    return [found["WK", number] for number in numbers]


def local(moment: datetime | None, zone: ZoneInfo = NEW_YORK) -> str:
    assert moment is not None
    return moment.astimezone(zone).strftime("%m-%d %H:%M %Z")


@pytest.mark.parametrize(
    ("pump_ended", "opens", "due", "expires"),
    [
        ("2026-11-23T11:00", "11-24 08:00 EST", "11-24 12:00 EST", "11-25 11:00 EST"),
        ("2026-11-23T14:00", "11-24 08:00 EST", "11-24 14:00 EST", "11-25 14:00 EST"),
        ("2026-11-23T14:01", "11-24 08:01 EST", "11-24 14:01 EST", "11-25 14:01 EST"),
        ("2026-11-23T18:00", "11-24 12:00 EST", "11-24 18:00 EST", "11-25 18:00 EST"),
        # 21:00 belongs to the night, the minute before it does not.
        ("2026-11-23T03:00", "11-24 08:00 EST", "11-24 12:00 EST", "11-25 03:00 EST"),
        ("2026-11-23T02:59", "11-23 20:59 EST", "11-24 12:00 EST", "11-25 02:59 EST"),
        # Clocks go back on 1 November: 24 hours later is 19:00, not 20:00.
        ("2026-10-31T20:00", "11-01 13:00 EST", "11-01 19:00 EST", "11-02 19:00 EST"),
        # Clocks go forward on 8 March.
        ("2026-03-07T20:00", "03-08 15:00 EDT", "03-08 21:00 EDT", "03-09 21:00 EDT"),
    ],
)
def test_the_24_hour_check_in_keeps_out_of_the_night(pump_ended: str, opens: str, due: str, expires: str) -> None:
    slot = times(infusion(pump_ended), "C24")
    assert (local(slot.opens_at), local(slot.due_at), local(slot.expires_at)) == (opens, due, expires)


@pytest.mark.parametrize(
    ("pump_ended", "opens", "due"),
    [
        ("2026-11-23T11:00", "11-25 23:00 EST", "11-26 11:00 EST"),
        ("2026-10-31T20:00", "11-03 07:00 EST", "11-03 19:00 EST"),
        ("2026-03-07T20:00", "03-10 09:00 EDT", "03-10 21:00 EDT"),
    ],
)
def test_the_72_hour_check_in_is_elapsed_time(pump_ended: str, opens: str, due: str) -> None:
    of = infusion(pump_ended)
    slot = times(of, "C72")
    assert (local(slot.opens_at), local(slot.due_at)) == (opens, due)
    assert of.pump_ended_at
    assert slot.expires_at == of.pump_ended_at + timedelta(hours=96)


@pytest.mark.parametrize(
    ("pump_ended", "window", "due", "expires"),
    [
        ("2026-11-23T11:00", "11-24 11:00 EST", "11-26 11:00 EST", "12-03 11:00 EST"),
        # Ten days on the wall clock, also across the change.
        ("2026-10-31T20:00", "11-01 19:00 EST", "11-03 19:00 EST", "11-10 20:00 EST"),
        # 24 hours after half past midnight of a 25-hour day is still that day, and never the day of an infusion.
        ("2026-11-01T00:30", "11-02 00:00 EST", "11-03 23:30 EST", "11-11 00:30 EST"),
    ],
)
def test_integration_is_due_within_its_window_and_never_on_the_day_itself(pump_ended: str, window: str, due: str, expires: str) -> None:
    slot = times(infusion(pump_ended), "integration-session")
    assert (local(slot.opens_at), local(slot.due_at), local(slot.expires_at)) == (window, due, expires)


@pytest.mark.parametrize(
    ("pump_ended", "hours_to_discharge", "due"),
    [("2026-11-23T11:00", 1, "11-23 20:00 EST"), ("2026-11-23T17:00", 1, "11-23 20:00 EST"), ("2026-11-23T17:30", 2, "11-23 21:30 EST")],
)
def test_a_stopped_infusion_is_called_about_the_same_evening_and_two_hours_after_discharge(
    pump_ended: str, hours_to_discharge: int, due: str
) -> None:
    stopped = infusion(pump_ended, outcome=Outcome.STOPPED_EARLY)
    assert stopped.pump_ended_at
    stopped = replace(stopped, discharged_at=stopped.pump_ended_at + timedelta(hours=hours_to_discharge))
    assert local(times(stopped, "same-evening-call").due_at) == due


def test_after_a_transfer_a_person_asks_by_telephone_in_place_of_the_24_hour_check_in() -> None:
    moved = infusion("2026-11-23T11:00", outcome=Outcome.TRANSFERRED)
    assert moved.pump_ended_at
    facts = Facts(PATIENT, NEW_YORK, NEW_YORK, visits=(moved,))
    asked = plan(facts, PROTOCOLS, moved.pump_ended_at).wanted[Key(INFUSION, "C24")]
    assert (asked.is_task, asked.by, asked.times) == (True, "staff", times(infusion("2026-11-23T11:00"), "C24"))


@pytest.mark.parametrize(
    ("week", "opens"),
    [(1, "10-31 08:00 EDT"), (2, "11-07 08:00 EST"), (21, "03-20 08:00 EDT")],
)
def test_weeks_open_at_eight_on_the_wall_across_both_clock_changes(week: int, opens: str) -> None:
    [slot] = weeks_of(datetime(2026, 10, 24, 12, tzinfo=NEW_YORK), NEW_YORK, week)
    assert local(slot.opens_at) == opens
    assert slot.opens_at
    assert slot.expires_at
    assert (slot.due_at - slot.opens_at, slot.expires_at - slot.opens_at) == (timedelta(hours=24), timedelta(hours=72))


@pytest.mark.parametrize(
    ("day", "at", "shown"),
    [
        (date(2026, 3, 8), time(2, 30), "03-08 03:00 EDT"),
        (date(2026, 3, 8), time(3, 0), "03-08 03:00 EDT"),
        (date(2026, 11, 1), time(1, 30), "11-01 01:30 EDT"),
        (date(2026, 11, 1), time(2, 0), "11-01 02:00 EST"),
    ],
)
def test_a_skipped_time_becomes_the_next_one_and_a_doubled_one_the_first(day: date, at: time, shown: str) -> None:
    assert local(on_the_clock(day, at, NEW_YORK)) == shown


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-23T15:00", "11-24 15:00 EST"),
        ("2026-11-27T15:00", "11-30 15:00 EST"),
        ("2026-11-28T15:00", "12-01 08:00 EST"),
        ("2026-11-29T23:59", "12-01 08:00 EST"),
    ],
)
def test_a_business_day_keeps_the_time_of_day_and_a_weekend_counts_as_monday_morning(now: str, due: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=NEW_YORK)
    assert local(business_days_later(at, 1, time(8))) == due


@pytest.mark.parametrize(
    ("hours_after", "due"),
    [(1, 24), (21, 25), (30, 34), (70, 72), (72, 72), (72.001, None)],
)
def test_a_safety_call_is_offered_within_72_hours_of_the_infusion(hours_after: float, due: int | None) -> None:
    of = infusion("2026-11-23T11:00")
    assert of.pump_ended_at
    now = of.pump_ended_at + timedelta(hours=hours_after)
    offered = wanted(of, NEW_YORK, now, Absence(Cause.WITHDRAWAL, Span(now), 4)).get(("safety-offer-call", 4))
    assert (offered and offered.due_at - of.pump_ended_at) == (timedelta(hours=due) if due else None)


moments = st.integers(0, 3 * 365 * 24 * 3600).map(lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))
zones = st.sampled_from(ZONES).map(ZoneInfo)


@given(moments, zones)
def test_every_check_in_opens_before_it_is_due_and_is_due_before_it_expires(ended_at: datetime, zone: ZoneInfo) -> None:
    for code in ("C24", "C72"):
        slot = times(ended(ended_at), code, zone)
        assert slot.opens_at
        assert slot.expires_at
        assert ended_at < slot.opens_at <= slot.due_at <= slot.expires_at
        assert slot.due_at >= ended_at + timedelta(hours=24)


@given(moments, zones)
def test_the_24_hour_check_in_never_opens_at_night(ended_at: datetime, zone: ZoneInfo) -> None:
    slot = times(ended(ended_at), "C24", zone)
    assert slot.opens_at
    opens = slot.opens_at.astimezone(zone)
    assert time(8) <= opens.time() < time(21)
    assert opens >= ended_at + timedelta(hours=18)


@given(moments, zones)
def test_integration_is_never_on_the_infusions_local_day(ended_at: datetime, zone: ZoneInfo) -> None:
    slot = times(ended(ended_at), "integration-session", zone)
    assert slot.opens_at is not None
    assert slot.expires_at is not None
    assert slot.opens_at.astimezone(zone).date() > ended_at.astimezone(zone).date()
    assert slot.opens_at < slot.due_at == ended_at + timedelta(hours=72) < slot.expires_at


@given(st.dates(date(2026, 1, 1), date(2029, 1, 1)), st.times(), zones)
def test_a_wall_clock_time_is_shown_or_is_the_first_after_a_gap(day: date, at: time, zone: ZoneInfo) -> None:
    moment = on_the_clock(day, at, zone)
    shown = moment.astimezone(zone).replace(tzinfo=None)
    wanted = datetime.combine(day, at)
    if shown != wanted:
        second_before = (moment - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
        assert second_before < wanted < shown


@given(moments, zones, st.integers(1, 60))
def test_weeks_never_overlap_and_keep_their_weekday(begun: datetime, zone: ZoneInfo, week: int) -> None:
    this, following = weeks_of(begun, zone, week, week + 1)
    assert this.opens_at
    assert this.expires_at
    assert following.opens_at
    assert this.expires_at < following.opens_at
    # A course begins on the day on which its first infusion was started.
    assert this.opens_at.astimezone(zone).weekday() == (begun - timedelta(minutes=40)).astimezone(zone).weekday()
