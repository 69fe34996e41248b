import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from services.followup.outreach.contacts import KnownContact
from services.followup.outreach.policy import load_policy
from services.followup.outreach.rules import OURS_TO_MEND, Held, Recipient, Unreachable, judge, recipient_of
from services.followup.outreach.texts import load_texts

POLICY = load_policy()
NEW_YORK = ZoneInfo("America/New_York")
REACHABLE = KnownContact(birth_date_salt="aa", birth_date_hash="bb")


def leaves(local: str, zone: ZoneInfo = NEW_YORK) -> str:
    moment = datetime.fromisoformat(local).replace(tzinfo=zone).astimezone(UTC)
    return POLICY.quiet.leaves_at(moment, zone).astimezone(zone).strftime("%d %H:%M")


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-11-23 08:00", "23 08:00"),
        ("2026-11-23 20:59:59", "23 20:59"),
        ("2026-11-23 21:00", "24 08:00"),
        ("2026-11-23 23:30", "24 08:00"),
        ("2026-11-24 00:00", "24 08:00"),
        ("2026-11-24 07:59:59", "24 08:00"),
        ("2026-10-31 22:00", "01 08:00"),
        ("2027-03-14 00:30", "14 08:00"),
    ],
)
def test_nothing_leaves_from_nine_in_the_evening_to_eight_in_the_morning_where_the_patient_is(local: str, expected: str) -> None:
    assert leaves(local) == expected


def test_the_same_moment_is_night_for_one_patient_and_day_for_another() -> None:
    moment = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    assert POLICY.quiet.leaves_at(moment, NEW_YORK) > moment
    assert POLICY.quiet.leaves_at(moment, ZoneInfo("America/Los_Angeles")) == moment


def test_failures_wait_twice_as_long_each_time_up_to_five_minutes() -> None:
    waits = [POLICY.backoff.after(attempts) / timedelta(seconds=1) for attempts in range(1, 9)]
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]
    assert POLICY.backoff.after(10_000) == timedelta(seconds=300)


@pytest.mark.parametrize(
    ("contact", "reason", "to_be_called"),
    [
        (KnownContact(may_send=False, reason="deceased"), "deceased", False),
        (KnownContact(may_send=False, reason="withdrawn"), "withdrawn", False),
        (KnownContact(may_send=False, reason="opted-out"), "opted-out", True),
        (KnownContact(may_send=False, reason="consent-revoked"), "consent-revoked", True),
        (KnownContact(may_send=False, reason=None), "not-allowed", True),
        (KnownContact(channel="phone-staff", birth_date_salt="aa", birth_date_hash="bb"), "channel-not-served", True),
        (KnownContact(address=None, birth_date_salt="aa", birth_date_hash="bb"), "channel-not-served", True),
        (KnownContact(), "birth-date-unknown", True),
        (KnownContact(language="es", birth_date_salt="aa", birth_date_hash="bb"), "language-not-served", True),
        (KnownContact(time_zone="Mars/Olympus", birth_date_salt="aa", birth_date_hash="bb"), "time-zone-unknown", True),
    ],
)
def test_who_cannot_be_written_to_is_called_unless_out_of_care(contact: KnownContact, reason: str, to_be_called: bool) -> None:
    found = recipient_of(contact, {"email"}, POLICY, known_zone="America/New_York")
    assert isinstance(found, Unreachable)
    assert (found.reason, found.to_be_called) == (reason, to_be_called)


@pytest.mark.parametrize(
    ("wanted", "served"),
    [
        ("es-419", "es"),
        ("ES", "es"),
        ("es-Latn-MX", "es"),
        ("zh-Hans-CN", "zh-Hans"),
        ("zh-Hant", None),
        ("zh", None),
        ("est", None),
        ("", None),
    ],
)
def test_the_best_known_language_is_found_by_taking_the_tag_apart_from_its_end(wanted: str, served: str | None) -> None:
    assert replace(POLICY, languages=("en", "es", "zh-Hans")).speaks(wanted) == served


def test_a_reachable_patient_is_written_to_in_a_language_that_we_have() -> None:
    found = recipient_of(REACHABLE, {"email"}, POLICY, known_zone="America/New_York")
    assert isinstance(found, Recipient)
    assert (found.address, found.language, found.sender_name) == ("patient@example.org", "en", "North Street Office")


def judged(contact: KnownContact, *, known_zone: str = "America/New_York") -> Recipient | Held | Unreachable:
    return judge(contact, {"email"}, POLICY, datetime(2026, 11, 23, 18, 0, tzinfo=UTC), known_zone=known_zone)


def test_it_is_night_where_intake_says_that_the_patient_is_and_not_where_the_check_in_was_planned() -> None:
    assert isinstance(judged(REACHABLE, known_zone="Asia/Tokyo"), Recipient)
    held = judged(replace(REACHABLE, time_zone="Asia/Tokyo"))
    assert held == Held("quiet-hours", datetime(2026, 11, 23, 23, 0, tzinfo=UTC)), "08:00 in Tokyo"


def test_beside_an_intake_that_tells_no_zone_the_last_known_one_counts() -> None:
    assert isinstance(judged(replace(REACHABLE, time_zone=None)), Recipient)
    assert isinstance(judged(replace(REACHABLE, time_zone=None), known_zone="Asia/Tokyo"), Held)


def test_a_message_of_an_inactive_clinic_waits_and_is_no_call() -> None:
    held = judged(KnownContact(may_send=False, reason="clinic-inactive"))
    assert held == Held("clinic-inactive", datetime(2026, 11, 23, 18, 15, tzinfo=UTC))


@pytest.mark.parametrize(
    ("wanted", "served"),
    [
        ("es-419", "es"),
        ("ES-mx", "es"),
        ("es", "es"),
        ("en-US", "en"),
        ("zh-Hans-CN", "zh-Hans"),
        ("zh-Hant-TW", None),
        ("en-x-clinic", "en"),
        ("est", None),
        ("", None),
    ],
)
def test_a_language_is_served_by_the_nearest_that_we_have(wanted: str, served: str | None) -> None:
    ours = replace(POLICY, languages=("en", "es", "zh-Hans"))
    assert ours.speaks(wanted) == served
    assert replace(ours, default_language="en").speaks(wanted) == (served or "en"), "the clinic's own, where it has one"


def test_the_alert_tells_of_every_refusal_that_only_the_operator_can_mend() -> None:
    alerts = (Path(__file__).parents[3] / "deploy/prometheus/alerts.yml").read_text()
    (reasons,) = re.findall(r'afterglow_message_waits_total\{reason=~"([^"]+)"', alerts)
    assert set(reasons.split("|")) == OURS_TO_MEND


def test_unless_a_clinic_decides_otherwise_nobody_gets_questions_in_a_language_that_was_not_asked_for() -> None:
    assert POLICY.default_language is None


def test_a_message_says_nothing_about_drug_condition_or_kind_of_clinic() -> None:
    for text in load_texts().values():
        filled = f"{text.subject} {text.filled(sender='North Street Office', link='https://care.test/c/x', phone='+1 212 555 0100')}"
        assert filled.count("https://") == 1
        assert "To stop these messages" in filled
        forbidden = ("ketamine", "infusion", "ptsd", "trauma", "psychiatr", "mental", "clinic", "treatment", "symptom", "safety")
        assert not any(word in filled.lower() for word in forbidden)
