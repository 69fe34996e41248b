from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.followup.checkins.forms import DECLINED, Answer, Form, load_forms
from services.followup.checkins.policy import load_policy, load_response_times, load_rules
from services.followup.checkins.rules import HELP_NOW, Level, due_by, worries

FORMS = load_forms()
AFTER = FORMS.of_check_in["C24"]
WEEKLY = FORMS.of_check_in["WK"]
(RULES,) = load_rules().versions
TIMES = load_response_times()
NEW_YORK = ZoneInfo("America/New_York")


def calm(form: Form, **changed: Answer) -> dict[str, Answer]:
    """Every item answered so that nothing worries, but for what the test changes."""
    quiet: dict[str, Answer] = {"yes-no": "no", "bother": 0, "scale": 0}
    return {item.item_id: quiet[item.kind] for item in form.items.values()} | changed


def raised(form: Form, answers: dict[str, Answer], *, sent: bool = True) -> list[tuple[str, str]]:
    return [(worry.rule_id, str(worry.level)) for worry in worries(answers, form, RULES, sent=sent)]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def due(answers: dict[str, Answer], answered_at: str) -> str:
    found = worries(answers, AFTER, RULES)
    return due_by(found, at(answered_at), NEW_YORK, TIMES).astimezone(NEW_YORK).strftime("%a %d %H:%M")


@pytest.mark.parametrize("form", [AFTER, WEEKLY], ids=["after an infusion", "weekly"])
def test_calm_answers_raise_nothing(form: Form) -> None:
    assert raised(form, calm(form)) == []


@pytest.mark.parametrize(
    ("item", "answer", "rule_id", "level"),
    [
        ("body_chest_pain", 1, "chest-pain", "urgent"),
        ("body_chest_pain", 3, "chest-pain", "urgent"),
        ("unusual", "yes", "voices-or-suspicion", "urgent"),
        ("urine_blood", "yes", "blood-in-urine", "urgent"),
        ("urine_pain", "yes", "painful-urination", "same-day"),
        ("call_today", "yes", "wants-a-call", "same-day"),
        ("drove", "yes", "drove-too-early", "same-day"),
        ("distress", 8, "high-distress", "routine"),
        ("distress", 10, "high-distress", "routine"),
        ("craving", 7, "strong-craving", "routine"),
        ("medicine_elsewhere", "yes", "ketamine-elsewhere", "routine"),
    ],
)
def test_each_worrying_answer_raises_its_level(item: str, answer: Answer, rule_id: str, level: str) -> None:
    assert raised(AFTER, calm(AFTER, **{item: answer})) == [(rule_id, level)]


@pytest.mark.parametrize(
    ("item", "answer"), [("distress", 7), ("craving", 6), ("body_breathing", 3), ("sleep_quality", 0), ("unreal", "yes")]
)
def test_answers_just_inside_the_limits_raise_nothing(item: str, answer: Answer) -> None:
    assert raised(AFTER, calm(AFTER, **{item: answer})) == []


def test_the_button_for_help_is_stat_on_any_form() -> None:
    assert raised(AFTER, {HELP_NOW: "yes"}, sent=False) == [("asked-for-help", "stat")]
    assert raised(WEEKLY, {HELP_NOW: "yes"}, sent=False) == [("asked-for-help", "stat")]


def test_several_worries_come_highest_first() -> None:
    answers = calm(AFTER, distress=9, urine_pain="yes", urine_blood="yes")
    assert [level for _, level in raised(AFTER, answers)] == ["urgent", "same-day", "routine"]


def test_a_declined_question_about_safety_is_a_missed_check() -> None:
    assert raised(AFTER, calm(AFTER, unusual=DECLINED)) == [("risk-item-not-answered", "routine")]
    assert raised(AFTER, calm(AFTER, body_headache=DECLINED)) == []


def test_what_is_missing_counts_only_once_the_form_was_sent() -> None:
    answers = calm(AFTER)
    del answers["urine_blood"]
    assert raised(AFTER, answers) == [("risk-item-not-answered", "routine")]
    assert raised(AFTER, answers, sent=False) == []


def test_items_of_another_form_are_not_read() -> None:
    assert "drove" not in WEEKLY.items
    assert raised(WEEKLY, calm(WEEKLY, drove="yes")) == []


def test_every_worry_names_rule_version_item_and_source() -> None:
    (worry,) = worries(calm(AFTER, urine_blood="yes"), AFTER, RULES)
    assert (worry.rule_id, worry.rule_version, worry.item, worry.level) == ("blood-in-urine", 1, "urine_blood", Level.URGENT)
    assert "label" in worry.source


def test_every_rule_names_an_item_that_exists_and_a_clock_that_exists() -> None:
    known = {item for form in (AFTER, WEEKLY) for item in form.items} | {HELP_NOW, None}
    assert {rule.item for rule in RULES.rules} <= known
    assert {rule.within for rule in RULES.rules} <= set(TIMES.times)
    assert all(rule.source and rule.why for rule in RULES.rules)


@pytest.mark.parametrize(
    ("answers", "answered", "expected"),
    [
        (calm(AFTER, urine_blood="yes"), "2026-11-23 09:00", "Mon 23 13:00"),
        (calm(AFTER, call_today="yes"), "2026-11-23 09:00", "Mon 23 20:00"),
        (calm(AFTER, call_today="yes"), "2026-11-23 18:00", "Mon 23 20:00"),
        (calm(AFTER, call_today="yes"), "2026-11-23 19:30", "Mon 23 21:30"),
        (calm(AFTER, craving=7), "2026-11-23 09:00", "Wed 25 09:00"),
        (calm(AFTER, craving=7), "2026-11-26 16:00", "Mon 30 16:00"),
        (calm(AFTER, craving=7), "2026-11-28 16:00", "Wed 02 08:00"),
        (calm(AFTER, craving=7, call_today="yes"), "2026-11-23 09:00", "Mon 23 20:00"),
        (calm(AFTER, urine_blood="yes", drove="yes"), "2026-11-23 19:00", "Mon 23 21:00"),
        (calm(AFTER, distress=8), "2026-11-23 09:00", "Mon 23 20:00"),
    ],
    ids=["four hours", "evening", "evening, exactly two hours", "two hours", "two business days", "over a weekend", "from a weekend",
         "the earlier clock", "the earlier clock, of the lower worry", "distress is for the same day"],
)  # fmt: skip
def test_the_clock_of_a_worry(answers: dict[str, Answer], answered: str, expected: str) -> None:
    assert due(answers, answered) == expected


def test_four_hours_are_elapsed_time_across_a_clock_change() -> None:
    found = worries(calm(AFTER, urine_blood="yes"), AFTER, RULES)
    answered = at("2026-11-01 00:30")
    assert due_by(found, answered, NEW_YORK, TIMES) - answered == timedelta(hours=4)


def test_help_is_due_in_a_quarter_of_an_hour() -> None:
    found = worries({HELP_NOW: "yes"}, AFTER, RULES, sent=False)
    assert due_by(found, at("2026-11-23 03:00"), NEW_YORK, TIMES) == at("2026-11-23 03:15")


def test_the_weekly_form_asks_about_bladder_and_memory_and_not_about_driving() -> None:
    assert set(WEEKLY.items) - set(AFTER.items) == {
        "bladder_day",
        "bladder_night",
        "bladder_holding",
        "bladder_ache",
        "memory",
        "concentration",
    }
    assert set(AFTER.items) - set(WEEKLY.items) == {"drove"}


def test_every_question_that_must_be_answered_has_a_short_name_and_every_intro_is_a_whole_sentence() -> None:
    for form in (AFTER, WEEKLY):
        assert all(len(item.short.split()) in range(3, 9) for item in form.items.values() if item.risk)
        assert all(section.intro[-1:] in ("", ".", "?") for section in form.sections)
        assert form.declining == "I do not want to say"


def test_no_form_names_a_drug_or_a_condition() -> None:
    words = " ".join(
        text.lower()
        for form in (AFTER, WEEKLY)
        for section in form.sections
        for text in (section.title, section.intro, *(f"{item.label} {item.hint} {item.short}" for item in section.items))
    )
    assert not any(word in words for word in ("ketamine", "infusion", "ptsd", "trauma", "psychiatr", "depress", "mental"))


def test_the_call_comes_two_hours_after_the_24_hour_check_in_and_a_day_after_others() -> None:
    policy = load_policy()
    assert policy.call_delay("C24") == timedelta(hours=2)
    assert policy.call_delay("C72") == policy.call_delay("WK") == timedelta(hours=24)


def test_an_answer_is_read_only_as_one_of_its_options() -> None:
    distress = AFTER.items["distress"]
    assert [distress.read(text) for text in ("0", "10", "declined", "11", "-1", "1.0", "", "yes", " 3")] == [0, 10, "declined", *[None] * 6]
