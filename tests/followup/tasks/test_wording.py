"""What people read of a task: what happened and when, what to do, whose work it is; as much of it as the reader may know."""

import re
from datetime import UTC, datetime, timedelta
from string import Formatter
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.followup.checkins.policy import load_setup
from services.followup.checkins.rules import HELP_NOW
from services.followup.outreach.rules import NotSent
from services.followup.plans.commands import LOOKED_AT
from services.followup.plans.reconcile import LISTED
from services.followup.plans.stored import PAST_DUE
from services.followup.reasons import ReasonCode
from services.followup.tasks.models import CareTask, TaskHistory
from services.followup.tasks.policy import shipped_policy
from services.followup.tasks.rules import Action, BusinessStatus, HoldReason, Outcome, Priority, ReleaseCause, TaskStatus, Unassigned
from services.followup.tasks.wording import ByReader, Telling, Wording, Zones, shipped_texts
from services.intake.directory.rules import Refusal
from shared.events.intake import Role

TEXTS, POLICY = shipped_texts(), shipped_policy()
NEW_YORK, CLINIC = ZoneInfo("America/New_York"), ZoneInfo("America/Chicago")
NOW = datetime(2026, 11, 23, 21, 40, tzinfo=UTC)
PRESSED = NOW - timedelta(minutes=4)
PATIENT = UUID(int=7)
RULES = [rule.rule_id for version in load_setup().rules.versions for rule in version.rules]
A_CODE = re.compile(r"\b(C24|C72|WK|[a-z]+(-[a-z]+)+)\b")
HYPHENATED = {"check-in", "check-ins", "follow-up", "mental-health", "24-hour", "72-hour"}


def task(
    kind: str = "safety-review", reason: ReasonCode | None = ReasonCode.WORRYING_ANSWERS, **changed: Any
) -> CareTask:  # Any: any column
    """A task that is due in two hours."""
    facts = {"check_in": "C72", "at": PRESSED.isoformat(), "rules": ["blood-in-urine"], "zone": "America/New_York"}
    return CareTask(
        **{
            "clinic_id": UUID(int=1),
            "task_id": UUID(int=2),
            "kind": kind,
            "patient_id": PATIENT,
            "status": TaskStatus.REQUESTED,
            "business_status": BusinessStatus.TO_DO,
            "priority": Priority.ASAP,
            "reason": reason,
            "facts": facts if reason else None,
            "details": {},
            "window_starts_at": None,
            "expires_at": None,
            "due_at": NOW + timedelta(hours=2),
            **changed,
        }
    )


def read(one: CareTask, *, clinical: bool = False, now: datetime = NOW, zones: dict[UUID, ZoneInfo] | None = None) -> Wording:
    return Telling(TEXTS, POLICY, Zones(zones if zones is not None else {PATIENT: NEW_YORK}, CLINIC), now, clinical).of_task(one)


def sentences(wording: Wording) -> str:
    return " ".join([wording.title, wording.why, wording.to_do, wording.who_may, wording.level, wording.due, *wording.lists])


@pytest.mark.parametrize("reason", [ReasonCode.CALL_FOR_HELP_RECORDED_DEAD, ReasonCode.WORRYING_ANSWERS_RECORDED_DEAD])
def test_a_review_says_that_the_patient_was_recorded_as_dead_then_and_not_that_they_are(reason: ReasonCode) -> None:
    wording = read(task(reason=reason))
    assert "was recorded as dead" in wording.why
    assert "is recorded as dead" not in sentences(wording)
    assert "If the patient is alive and still recorded as dead, a clinician corrects the record of the death." in wording.to_do


def test_a_call_for_help_is_read_by_everybody_with_its_time_where_the_patient_is() -> None:
    called = task(reason=ReasonCode.CALL_FOR_HELP, priority=Priority.STAT)
    for clinical in (False, True):
        wording = read(called, clinical=clinical)
        assert 'The patient pressed "I need help now" at 16:36 (their time).' in wording.why
        assert (wording.title, wording.level) == ("Call for help: Now", "Now")
        assert wording.to_do.startswith("Call the patient at once.")
    assert "blood in the urine" in read(called, clinical=True).why
    assert "blood" not in sentences(read(called))


def test_a_rule_that_was_met_is_for_clinical_roles_and_a_coordinator_reads_the_level_and_who_may_act() -> None:
    wording = read(task())
    assert wording.title == "Answers to look at: Urgent"
    assert wording.why == "Answers to the 72-hour check-in came at 16:36 (their time) and need a clinician's eye."
    assert wording.who_may == (
        "Who may take this: intake nurses, infusion nurses, prescribers, mental-health reviewers, the clinician on call and "
        "the medical director."
    )
    assert "What was met: blood in the urine" in read(task(), clinical=True).why


def test_answers_that_came_after_the_end_say_that_they_were_not_kept() -> None:
    late = task(facts={**(task().facts or {}), "ended": "superseded"})
    assert "not saved: the next infusion's check-ins had taken its place" in read(late).why


def test_nobody_is_told_to_read_answers_that_were_not_saved() -> None:
    late = task(facts={**(task().facts or {}), "ended": "session-over"})
    for clinical in (False, True):
        assert "read" in read(task(), clinical=clinical).to_do.lower()
    assert read(late, clinical=True).to_do.startswith("Speak to the patient. There are no answers to read")
    assert read(late).to_do == "Somebody in a clinical role speaks to the patient."


def test_the_window_of_an_integration_session_names_both_days_and_is_not_to_be_held() -> None:
    session = task("integration-session", ReasonCode.SESSION_DUE, window_starts_at=NOW, due_at=NOW + timedelta(days=2))
    assert read(session).to_do == (
        "Meet the patient for the integration session between 16:40 on Monday 23 November (their time) "
        "and 16:40 on Wednesday 25 November (their time)."
    )
    words = [*TEXTS.reasons.values(), *TEXTS.kinds.values()]
    assert not any(str(sentence).startswith("Hold") for text in words for sentence in text.do), "hold also means put on hold"


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (timedelta(hours=-2, minutes=-9), "2 h 9 min overdue"),
        (timedelta(days=-3, hours=-2), "3 days overdue"),
        (timedelta(days=-1), "1 day overdue"),
        (timedelta(0), "due now"),
        (timedelta(minutes=50), "in 50 min"),
        (timedelta(hours=2), "in 2 h"),
        (timedelta(days=2), "16:40 on Wednesday 25 November (their time)"),
        (timedelta(days=60), "16:40 on Friday 22 January 2027 (their time)"),
    ],
)
def test_when_it_is_due_is_said_in_words(ahead: timedelta, words: str) -> None:
    assert read(task(due_at=NOW + ahead)).due == words


def test_what_is_offered_or_has_ended_is_never_called_overdue() -> None:
    late = NOW - timedelta(hours=2)
    assert read(task(due_at=late, business_status=BusinessStatus.OFFERED)).due == "14:40 (their time)"
    for status in (TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.ENTERED_IN_ERROR):
        assert read(task(due_at=late, status=status)).due == "14:40 (their time)"


def test_times_are_told_on_the_patients_present_clock_and_else_on_the_one_at_that_time_and_else_on_the_clinics() -> None:
    assert "13:36 (their time)" in read(task(), zones={PATIENT: ZoneInfo("America/Los_Angeles")}).why
    assert "16:36 (their time)" in read(task(), zones={}).why
    unknown = task(facts={"check_in": "C72", "at": PRESSED.isoformat(), "rules": []})
    assert "15:36 (the clinic's time)" in read(unknown, zones={}).why


def test_a_time_of_another_day_says_which_day() -> None:
    assert "at 16:36 on Monday 23 November (their time)" in read(task(), now=NOW + timedelta(days=1)).why


FACTS = {
    "ended_at": PRESSED.isoformat(), "at": PRESSED.isoformat(), "answer_due_at": PRESSED.isoformat(), "check_in": "C24",
    "missed": ["C24", "WK", "WK"], "kept": ["C24"], "cause": "patient-deceased", "cancelled": ["C24", "integration-session"],
    "state": "no-show", "rules": ["chest-pain"], "ended": "cancelled", "outcome": "stopped-early",
}  # fmt: skip


@pytest.mark.parametrize("clinical", [False, True])
@pytest.mark.parametrize("reason", [None, *ReasonCode])
@pytest.mark.parametrize("kind", sorted(POLICY.kinds))
def test_no_code_stands_in_what_people_read_whatever_the_kind_and_the_reason(kind: str, reason: ReasonCode | None, clinical: bool) -> None:
    listed = {
        "items": [
            {"kind": "check-in", "code": code, "id": "x", "reason": why} for code in ("C72", kind) for why in ("past-due-at-entry", None)
        ]
    }
    for facts in (FACTS, {}, {"cause": "unheard-of", "cancelled": ["X99"], "rules": ["a-new-rule"], "at": "no time", "check_in": "ZZ"}):
        wording = read(task(kind, reason, facts=facts, details=listed, window_starts_at=NOW), clinical=clinical)
        assert all((wording.title, wording.why, wording.to_do, wording.who_may, wording.due))
        text = sentences(wording)
        assert {found[0] for found in A_CODE.finditer(text)} <= HYPHENATED, text
        for code in ("X99", "ZZ", "unheard-of", "a-new-rule", "{", "}"):
            assert code not in text, text


def test_every_code_that_can_come_has_its_name() -> None:
    names = TEXTS.names
    assert set(RULES) <= names["rules"].keys()
    assert set(Priority) <= names["levels"].keys()
    assert set(Role) <= names["roles"].keys()
    assert set(Outcome) <= names["outcomes"].keys()
    assert set(HoldReason) <= names["holds"].keys()
    assert POLICY.kinds.keys() <= names["work"].keys()
    assert {"C24", "C72", "WK"} <= names["work"].keys()
    assert {*LISTED, PAST_DUE, LOOKED_AT, "link-dead", "answered"} <= names["causes"].keys()
    assert set(Refusal) - {Refusal.DECEASED, Refusal.WITHDRAWN} <= names["causes"].keys()
    assert set(NotSent) <= names["causes"].keys()
    assert TEXTS.reasons.keys() == set(ReasonCode) - {ReasonCode.OLDER}
    assert TEXTS.kinds.keys() == POLICY.kinds.keys() | {"other"}
    assert TEXTS.history.keys() == set(Action)
    assert TEXTS.unassigned.keys() == set(Unassigned)
    assert set(ReleaseCause) <= names["releases"].keys()
    assert all("other" in section for section in names.values())


def test_only_sentences_for_clinical_roles_name_rules() -> None:
    for text in TEXTS.reasons.values():
        for sentence in (text.title or "", *text.happened, *text.do):
            for_all = (sentence.others or "") if isinstance(sentence, ByReader) else sentence
            assert "rules" not in {field for _, field, _, _ in Formatter().parse(for_all)}


def test_a_call_for_help_is_no_rule_that_is_named() -> None:
    rules = [rule for version in load_setup().rules.versions for rule in version.rules if rule.level == "stat"]
    assert {rule.item for rule in rules} == {HELP_NOW}, "the only one of the highest level is not an answer"


@pytest.mark.parametrize(
    ("action", "details", "line"),
    [
        ("created", {}, "Made."),
        (
            "held",
            {"until": NOW.isoformat(), "reason": "waiting-for-patient"},
            "Put on hold until 16:40 (their time): waiting for the patient.",
        ),
        ("completed", {"outcome": "left-message", "performed_at": NOW.isoformat()}, "Closed: left a message, at 16:40 (their time)."),
        ("cancelled", {"reason": "record-corrected"}, "Called off: the record was corrected."),
        ("cancelled", {"reason": "of-a-newer-release"}, "Called off: another reason."),
        ("released", {}, "Put back for everybody."),
        ("released", {"cause": "owner-left"}, "Put back for everybody: who had it does not work here any more."),
        ("released", {"cause": "of-a-newer-release"}, "Put back for everybody: who had it cannot do it."),
        ("due-kept", {}, "Old due time kept."),
    ],
)
def test_a_line_of_history_is_a_sentence(action: str, details: dict[str, str], line: str) -> None:
    change = TaskHistory(action=Action(action), details=details)  # type: ignore[call-arg]  # a line tells of these two
    telling = Telling(TEXTS, POLICY, Zones({PATIENT: NEW_YORK}, CLINIC), NOW, clinical=False)
    assert telling.of_change(change, task()) == line


def test_one_fact_that_cannot_be_read_hides_its_sentence_and_not_the_task() -> None:
    odd = task(reason=ReasonCode.HEARD_LATE, kind="catch-up-call", facts={"ended_at": "yesterday", "missed": ["C24"]})
    assert read(odd).why == "These were already due and were not done: 24-hour check-in."


def test_a_code_of_a_later_release_reads_as_its_kind() -> None:
    later = task(reason=None)
    later.reason = "code-of-a-later-release"
    told = read(later)
    assert (told.why, told.to_do) == (read(task(reason=None)).why, read(task(reason=None)).to_do)


def test_a_kind_of_a_later_release_is_other_work_that_nobody_can_take_yet() -> None:
    told = read(task(kind="kind-of-a-later-release", reason=None))
    assert told.title == "Other work"
    assert told.who_may == "Nobody can take this until the newer version of the program runs everywhere."
    assert told.why
    assert told.to_do
