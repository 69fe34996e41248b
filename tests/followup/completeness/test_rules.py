"""What an ended infusion must have: every part counts, whatever became of it."""

from datetime import timedelta
from uuid import UUID

import pytest

from services.followup.completeness.rules import Ended, Known, missing, wait_after

WHOLE = frozenset({"integration-session", "C24", "C72"})


def ended(*, drug_given: bool = True, entered_in_error: bool = False) -> Ended:
    return Ended(UUID(int=1), 4, drug_given, entered_in_error)


@pytest.mark.parametrize(
    ("known", "lacking"),
    [
        (None, ["event"]),
        (Known(None, has_plan=False, codes=frozenset()), ["event"]),
        (Known(4, has_plan=False, codes=frozenset()), ["plan"]),
        (Known(4, has_plan=True, codes=frozenset()), ["integration-session", "C24", "C72"]),
        (Known(4, has_plan=True, codes=WHOLE - {"C72"}), ["C72"]),
        (Known(4, has_plan=True, codes=WHOLE), []),
        (Known(4, has_plan=True, codes=WHOLE - {"C24"} | {"staff-check-in"}), []),
        (Known(3, has_plan=True, codes=WHOLE), ["event"]),
        (Known(5, has_plan=True, codes=WHOLE), []),
    ],
)
def test_what_is_missing_is_named(known: Known | None, lacking: list[str]) -> None:
    assert missing(ended(), known) == lacking


def test_what_gave_nothing_or_never_was_needs_no_set_but_must_be_known() -> None:
    known = Known(4, has_plan=False, codes=frozenset())
    assert missing(ended(drug_given=False), known) == []
    assert missing(ended(entered_in_error=True), known) == []
    assert missing(ended(drug_given=False), None) == ["event"]


def test_waits_double_up_to_a_limit() -> None:
    minute = timedelta(minutes=1)
    waits = [wait_after(times, 2 * minute, 60 * minute) // minute for times in (0, 1, 2, 4, 5, 1000)]
    assert waits == [2, 4, 8, 32, 60, 60]
