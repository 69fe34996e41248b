"""From rows of tasks and check-ins to the items and covers that the comparison knows."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.followup.plans.stored import CoverKind
from services.followup.plans.stored_rows import Row, items_of
from services.followup.plans.wanted import Key, State

NOON = datetime(2026, 3, 3, 19, tzinfo=UTC)
INFUSION, PATIENT = uuid4(), uuid4()


def check_in(row_id: UUID, **told: Any) -> Row:  # Any: columns of several types
    standard = {
        "what": "check-in", "row_id": row_id, "infusion_id": INFUSION, "course_id": uuid4(), "focus_kind": None, "focus_id": None,
        "kind": "C72", "status": "open", "reason": None, "opened": True, "details": None, "facts": None, "because": None,
        "business_status": None,
    }  # fmt: skip
    return {**_everywhere(), **standard, **told}


def task(kind: str, **told: Any) -> Row:  # Any: as above
    standard = {
        "what": "task", "row_id": uuid4(), "infusion_id": INFUSION, "course_id": None, "focus_kind": "Infusion", "focus_id": INFUSION,
        "kind": kind, "status": "requested", "reason": None, "opened": False, "details": {}, "facts": None, "because": "session-due",
        "business_status": "to-do",
    }  # fmt: skip
    return {**_everywhere(), **standard, **told}


def _everywhere() -> dict[str, object]:
    return {
        "patient_id": PATIENT, "version": 1, "ordinal": 0, "attempt": 1, "opens_at": NOON, "due_at": NOON + timedelta(hours=12),
        "expires_at": NOON + timedelta(hours=36), "due_kept": False, "anchor_id": None, "code": None, "number": None, "generation": None,
        "refused_due_at": None, "superseded_by": None, "covered": None, "covers_more": False, "link_open": False,
    }  # fmt: skip


@pytest.mark.parametrize(("because", "kind"), [("asked-after-all", CoverKind.TELEPHONE), ("asked-by-telephone", CoverKind.OVERDUE)])
def test_a_call_in_place_of_a_link_is_the_comparisons_only_where_the_check_in_was_asked_after_all(because: str, kind: CoverKind) -> None:
    row_id = uuid4()
    call = task("staff-check-in", focus_kind="CheckIn", focus_id=row_id, because=because)
    (cover,) = items_of([check_in(row_id), call]).covers
    assert (cover.kind, cover.covers, cover.open) == (kind, frozenset({Key(INFUSION, "C72")}), True)


def test_attempts_of_one_call_are_one_cover_as_the_last_of_them_stands() -> None:
    row_id = uuid4()
    call = {"focus_kind": "CheckIn", "focus_id": row_id, "because": "asked-after-all"}
    reached_nobody = task("staff-check-in", **call, status="completed")
    called_off = task("staff-check-in", **call, attempt=2, status="cancelled")
    (cover,) = items_of([check_in(row_id), reached_nobody, called_off]).covers
    assert (cover.open, cover.done, cover.stands) == (False, False, False)
    (again,) = items_of([check_in(row_id), reached_nobody, {**called_off, "status": "accepted"}]).covers
    assert again.open


def test_of_further_attempts_of_work_the_last_is_the_item_and_its_time_is_settled() -> None:
    first, second = task("same-evening-call", status="completed"), task("same-evening-call", attempt=2)
    (item,) = items_of([first, second]).stored.values()
    assert (item.row_id, item.state, item.settled) == (second["row_id"], State.ASKED, True)


def test_who_asks_in_place_of_a_link_has_the_key_of_what_the_link_would_ask() -> None:
    (key,) = items_of([task("staff-check-in", details={"code": "C24"})]).stored
    assert key == Key(INFUSION, "C24")


def test_a_visit_that_was_booked_is_what_a_task_to_book_one_asked_for() -> None:
    (item,) = items_of([task("rebook", status="cancelled", reason="visit-booked")]).stored.values()
    assert item.state is State.DONE


def test_an_offer_hangs_on_the_departure_of_the_patient() -> None:
    (key,) = items_of([task("safety-offer-call", ordinal=7)]).stored
    assert key == Key(PATIENT, "safety-offer-call", 7)
