"""A protocol is a list: which version follows an anchor, and a faulty list is refused with line and reason."""

from typing import get_args
from uuid import UUID

import pytest

from services.followup.plans.anchors import OF_COURSE, OF_PATIENT, OF_VISIT
from services.followup.plans.entries import AnchorName
from services.followup.plans.entry_files import ProtocolRefused, read_protocol, shipped_lists, shipped_text
from services.followup.plans.pinned import Pinned

NEW = Pinned(shipped_lists({"C24", "C72", "WK"}))
REVIEW_DUE = 'due: {from: made, hours: 4, source: "project default"}'
PATIENT, INFUSION, COURSE = (UUID(int=number) for number in (1, 2, 3))


def test_the_shipped_protocol_says_that_the_use_is_off_label_and_what_the_guideline_says() -> None:
    assert "Off-label" in NEW.default.status
    assert "suggests against" in NEW.default.status


def test_a_version_that_asked_the_same_is_followed_by_the_one_that_stands_for_it() -> None:
    later = read_protocol(shipped_text("default-v2").replace("version: 2\nstands_for: [1]", "version: 3"), {"C24", "C72", "WK"})
    protocols = Pinned([NEW.default, later])
    assert protocols.of(INFUSION, ("default", 1)).version == 2
    assert protocols.knows(("default", 1))
    assert not protocols.knows(("house-rules", 1))


def test_an_anchor_keeps_its_pinned_version_and_what_is_not_known_as_a_list_is_followed_by_the_default() -> None:
    later = read_protocol(shipped_text("default-v2").replace("version: 2\nstands_for: [1]", "version: 3", 1), {"C24", "C72", "WK"})
    protocols = Pinned([NEW.default, later], {INFUSION: ("default", 2), COURSE: ("gone", 1)})
    assert protocols.of(INFUSION, ("default", 3)).version == 2
    assert protocols.of(PATIENT, ("default", 2)).version == 2
    assert protocols.of(COURSE, ("default", 3)).version == 3


@pytest.mark.parametrize(
    ("right", "wrong", "line", "reason"),
    [
        ("- code: C72\n", "- code: C24\n", "- code: C24\n", "code C24 stands twice"),
        ("  form: C72\n", "  form: C73\n", "  form: C73\n", "no form C73"),
        ("  form: C72\n", "", "- code: C72\n", "has a form"),
        ("unless: {stands: [C24, C72]}", "unless: {stands: [C24, C27]}", "  unless: {stands: [C24, C27]}", "unknown code C27"),
        ("{to: next-infusion, before: due,", "{to: END, on: same-day,", "  gives_way: {to: END", "unknown code END"),
        ("anchor: course-day-0", "anchor: course-day-1", "  anchor: course-day-1", "'course-day-0'"),
        ("due: {from: opens, hours: 24", "due: {from: opened, hours: 24", "  due: {from: opened", "'opens'"),
        ("due: {from: opens, hours: 24", "due: {from: opens, hour: 24", "  due: {from: opens, hour: 24", "Extra inputs are not permitted"),
        ("due: {hours: 72, source: \"as above\"}", "due: {hours: 72}", "- code: integration-session", "without a source: due"),
        ("repeat: {days: 7,", "repeat: {days: 0,", "  repeat: {days: 0,", "at least a day"),
        ("[death, transfer, withdrawal, consent-revoked]", "[death]", "  called-off-review:", "has to stay after"),
        (f"{REVIEW_DUE}\n    stays_after", "stays_after", "", "without a due time: due-time-review"),
        ("items:", "items: [", "covers:", "expected"),
    ],
)  # fmt: skip
def test_a_faulty_list_is_refused_with_line_and_reason(right: str, wrong: str, line: str, reason: str) -> None:
    text = shipped_text("default-v2")
    assert right in text
    faulty = text.replace(right, wrong, 1)
    with pytest.raises(ProtocolRefused) as refused:
        read_protocol(faulty, {"C24", "C72", "WK"})
    said = {fault: number for number, fault in refused.value.faults if reason in fault}
    assert said, refused.value
    assert any(faulty.splitlines()[number - 1].startswith(line.rstrip()) for number in said.values()) or "[" in wrong, said


def test_every_name_of_an_anchor_is_a_function_over_facts() -> None:
    assert {*OF_VISIT, *OF_COURSE, *OF_PATIENT} == set(get_args(AnchorName))
