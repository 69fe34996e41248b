"""What an ended infusion must have: every part counts, whatever became of it."""

from datetime import timedelta
from uuid import UUID

import pytest

from services.followup.completeness.rules import Ended, Known, missing, wait_after

WHOLE = frozenset({"integration-session", "C24", "C72"})


def ended(*, drug_given: bool = True, entered_in_error: bool = False) -> Ended:
    return Ended(UUID(int=1), 4, drug_given, entered_in_error)


def known(version: int | None, *codes: str, has_plan: bool = True, entered_in_error: bool = False) -> Known:
    return Known(version, entered_in_error, has_plan, frozenset(codes))


@pytest.mark.parametrize(
    ("heard", "lacking"),
    [
        (None, ["event"]),
        (known(None, has_plan=False), ["event"]),
        (known(4, has_plan=False), ["plan"]),
        (known(4), ["integration-session", "C24", "C72"]),
        (known(4, *WHOLE - {"C72"}), ["C72"]),
        (known(4, *WHOLE), []),
        (known(4, *WHOLE - {"C24"} | {"staff-check-in"}), []),
        (known(3, *WHOLE), ["event"]),
        (known(5, *WHOLE), ["sessions-behind"]),
        (known(5, has_plan=False), ["sessions-behind", "plan"]),
    ],
)
def test_what_is_missing_is_named(heard: Known | None, lacking: list[str]) -> None:
    assert missing(ended(), heard) == lacking


def test_what_gave_nothing_or_never_was_needs_no_set_but_must_be_known() -> None:
    heard = known(4, has_plan=False)
    assert missing(ended(drug_given=False), heard) == []
    assert missing(ended(entered_in_error=True), heard) == []
    assert missing(ended(drug_given=False), None) == ["event"]
    assert missing(ended(drug_given=False), known(5, has_plan=False)) == ["sessions-behind"]


@pytest.mark.parametrize("version", [3, 4, 5])
def test_what_is_void_is_so_for_both_or_sessions_has_forgotten_it(version: int) -> None:
    void = known(version, *WHOLE, entered_in_error=True)
    assert missing(ended(entered_in_error=True), void) == []
    assert missing(ended(), void) == ["sessions-behind"]


def test_waits_double_up_to_a_limit() -> None:
    minute = timedelta(minutes=1)
    waits = [wait_after(times, 2 * minute, 60 * minute) // minute for times in (0, 1, 2, 4, 5, 1000)]
    assert waits == [2, 4, 8, 32, 60, 60]
