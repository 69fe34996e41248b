"""From the rows of a patient's check-ins and tasks to the items and the covers that the comparison knows. Values in, values out.

What hangs on what is worked out from the rows: the acting code names it by the infusion or course, the kind and the ordinal.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from services.followup.plans.stored import PAST_DUE, Cover, CoverKind, Items, Stored
from services.followup.plans.wanted import Key, State, Times
from services.followup.reasons import ReasonCode

Row = Mapping[str, Any]  # Any: columns of several types

BY_STAFF, OFFER = "staff-check-in", "safety-offer-call"
ITEM_KINDS = frozenset({"integration-session", BY_STAFF, "same-evening-call", "left-against-advice", "rebook", OFFER})
"""Kinds of tasks that are items, where they are about an infusion."""
COVER_KINDS = {
    "catch-up-call": CoverKind.CATCH_UP,
    "check-in-overdue-call": CoverKind.OVERDUE,
    "due-time-review": CoverKind.DUE_REVIEW,
    "cancellation-review": CoverKind.CALLED_OFF,
}
CHECK_IN = "check-in"
"""What a row is that is no task."""

_CHECK_IN_STATES = {
    "planned": State.PLANNED,
    "open": State.ASKED,
    "overdue": State.ASKED,
    "submitted": State.DONE,
    "expired": State.EXPIRED,
    "superseded": State.SUPERSEDED,
    "cancelled": State.CANCELLED,
}


def items_of(rows: Sequence[Row]) -> Items:
    """A patient's rows of ``reading``, in its order. Of a key the newest generation is the item, or the one that is open."""
    stored: dict[Key, Stored] = {}
    key_of: dict[UUID, Key] = {}
    for row in rows:
        if _is_item(row):
            item = _asked(row) if row["what"] == CHECK_IN else _work(row)
            key_of[row["row_id"]] = item.key
            known = stored.get(item.key)
            if known is None or item.is_open or not known.is_open:
                stored[item.key] = item
    return Items(stored, tuple(_covers(rows, key_of)))


def _is_item(row: Row) -> bool:
    return row["what"] == CHECK_IN or (row["kind"] in ITEM_KINDS and row["focus_kind"] == "Infusion")


def _asked(row: Row) -> Stored:
    weekly = row["infusion_id"] is None
    key = Key(row["course_id"] if weekly else row["infusion_id"], row["kind"], row["ordinal"] if weekly else 0)
    return Stored(
        key,
        is_task=False,
        state=State.NOT_ASKED if row["reason"] == PAST_DUE else _CHECK_IN_STATES[row["status"]],
        times=_times(row),
        reason=row["reason"],
        sent=row["opened"],
        refused=row["due_at"] if row["due_kept"] else None,
        generation=0 if weekly else row["ordinal"],
        row_id=row["row_id"],
        version=row["version"],
    )


def _work(row: Row) -> Stored:
    return Stored(
        _key_of_work(row),
        is_task=True,
        state=_state_of_work(row),
        times=_times(row),
        reason=row["reason"],
        offered=row["business_status"] == "offered",
        settled=row["attempt"] > 1,
        refused=row["due_at"] if row["due_kept"] else None,
        generation=row["ordinal"],
        row_id=row["row_id"],
        version=row["version"],
    )


def _key_of_work(row: Row) -> Key:
    """Who asks in place of a link has the key of what the link would ask; an offer hangs on the patient's departure."""
    if row["kind"] == OFFER:
        return Key(row["patient_id"], OFFER, row["ordinal"])
    return Key(row["focus_id"], row["details"].get("code", "C24") if row["kind"] == BY_STAFF else row["kind"])


def _state_of_work(row: Row) -> State:
    """A visit that was booked is what a task to book one asked for."""
    if row["status"] in ("cancelled", "entered-in-error"):
        if row["reason"] == "visit-booked":
            return State.DONE
        return State.NOT_ASKED if row["reason"] == PAST_DUE else State.CANCELLED
    return State.DONE if row["status"] == "completed" else State.ASKED


def _times(row: Row) -> Times:
    return Times(row["opens_at"], row["due_at"], row["expires_at"])


def _covers(rows: Sequence[Row], key_of: Mapping[UUID, Key]) -> Iterator[Cover]:
    """Further attempts of one call are one cover, as the last of them stands: an earlier one reached nobody."""
    calls = {(row["kind"], row["focus_id"], row["ordinal"]): row for row in rows if row["what"] != CHECK_IN}
    for number, row in enumerate(calls.values(), 1):
        kind = _cover_kind(row)
        if kind is not None:
            yield Cover(
                kind,
                number,
                frozenset(_covered(row, kind, key_of)),
                str((row["facts"] or {}).get("cause", row["because"])),
                open=row["status"] in ("requested", "accepted", "on-hold"),
                done=row["status"] == "completed",
                due_at=row["due_at"] if kind is CoverKind.TELEPHONE else None,
                row_id=row["row_id"],
                version=row["version"],
            )


def _cover_kind(row: Row) -> CoverKind | None:
    """A call in place of a link is the comparison's where a check-in was asked after all; any other was raised, as by silence."""
    if (row["kind"], row["focus_kind"]) == (BY_STAFF, "CheckIn"):
        return CoverKind.TELEPHONE if row["because"] == ReasonCode.ASKED_AFTER_ALL else CoverKind.OVERDUE
    return COVER_KINDS.get(row["kind"])


def _covered(row: Row, kind: CoverKind, key_of: Mapping[UUID, Key]) -> Iterator[Key]:
    """By what it is about, or by the ids and codes that it lists."""
    if row["focus_id"] in key_of and row["focus_kind"] == "CheckIn":
        yield key_of[row["focus_id"]]
    if kind is CoverKind.DUE_REVIEW:
        yield from (Key(row["focus_id"], "C24" if code == BY_STAFF else code) for code in row["facts"]["kept"])
    listed = (UUID(item["id"]) for item in row["details"].get("items", ()))
    yield from (key_of[row_id] for row_id in listed if row_id in key_of)
