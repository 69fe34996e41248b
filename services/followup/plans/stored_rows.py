"""From the rows of a patient's check-ins and tasks to the items and the covers that the comparison knows. Values in, values out.

A row names the item that it holds. The release before wrote no name: there the key is worked out from what the row is about, its kind and
its ordinal.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from services.followup.checkins.models import CheckInStatus
from services.followup.plans.rebooking import BOOKED
from services.followup.plans.slots import Kind
from services.followup.plans.stored import PAST_DUE, TASK_KIND_OF, UNTOLD, Cover, CoverKind, Items, Stored
from services.followup.plans.wanted import Key, State, Times
from services.followup.reasons import ReasonCode
from services.followup.tasks.rules import OPEN, BusinessStatus, TaskStatus

Row = Mapping[str, Any]  # Any: columns of several types

ITEM_KINDS = frozenset(
    {Kind.INTEGRATION, Kind.STAFF_CHECK_IN, Kind.SAME_EVENING_CALL, Kind.LEFT_AGAINST_ADVICE, Kind.REBOOK, Kind.SAFETY_OFFER}
)
"""Kinds of tasks that are items, where they are about an infusion."""
COVER_KINDS = {kind: cover for cover, kind in TASK_KIND_OF.items() if cover is not CoverKind.TELEPHONE}
"""Kinds of tasks that are covers. A call in place of a link has the kind of a check-in by telephone: its reason tells them apart."""
CHECK_IN = "check-in"
"""The word for rows of check-ins, in the column ``what``; all others are of tasks."""

_CHECK_IN_STATES = {
    CheckInStatus.PLANNED: State.PLANNED,
    CheckInStatus.OPEN: State.ASKED,
    CheckInStatus.OVERDUE: State.ASKED,
    CheckInStatus.SUBMITTED: State.DONE,
    CheckInStatus.EXPIRED: State.EXPIRED,
    CheckInStatus.SUPERSEDED: State.SUPERSEDED,
    CheckInStatus.CANCELLED: State.CANCELLED,
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
                stored[item.key] = item if known is None else replace(item, sent=item.sent or known.sent)
    return Items(stored, tuple(_covers(rows, key_of)))


def _is_item(row: Row) -> bool:
    return row["what"] == CHECK_IN or row["anchor_id"] is not None or (row["kind"] in ITEM_KINDS and row["focus_kind"] == "Infusion")


def _asked(row: Row) -> Stored:
    weekly = row["infusion_id"] is None
    key = Key(row["course_id"] if weekly else row["infusion_id"], row["kind"], row["ordinal"] if weekly else 0)
    return Stored(
        _own_key(row) or key,
        is_task=False,
        state=State.NOT_ASKED if row["reason"] == PAST_DUE else _CHECK_IN_STATES[row["status"]],
        times=_times(row),
        reason=row["reason"],
        gives_way_to=row["superseded_by"],
        sent=row["opened"],
        link_open=row["link_open"],
        refused=_refused(row),
        generation=0 if weekly else row["ordinal"],
        row_id=row["row_id"],
        version=row["version"],
    )


def _work(row: Row) -> Stored:
    return Stored(
        _own_key(row) or _key_of_work(row),
        is_task=True,
        state=_state_of_work(row),
        times=_times(row),
        reason=row["reason"],
        gives_way_to=row["superseded_by"],
        offered=row["business_status"] == BusinessStatus.OFFERED,
        settled=row["attempt"] > 1,
        refused=_refused(row),
        generation=row["ordinal"] if row["generation"] is None else row["generation"],
        row_id=row["row_id"],
        version=row["version"],
    )


def _own_key(row: Row) -> Key | None:
    return None if row["anchor_id"] is None else Key(row["anchor_id"], row["code"], row["number"])


def _refused(row: Row) -> Any:  # Any: as above
    return row["refused_due_at"] or (UNTOLD if row["due_kept"] else None)


def _key_of_work(row: Row) -> Key:
    """Who asks in place of a link has the key of what the link would ask; an offer hangs on the patient's departure."""
    if row["kind"] == Kind.SAFETY_OFFER:
        return Key(row["patient_id"], Kind.SAFETY_OFFER.value, row["ordinal"])
    return Key(row["focus_id"], row["details"].get("code", "C24") if row["kind"] == Kind.STAFF_CHECK_IN else row["kind"])


def _state_of_work(row: Row) -> State:
    """A visit that was booked is what a task to book one asked for."""
    if row["status"] in (TaskStatus.CANCELLED, TaskStatus.ENTERED_IN_ERROR):
        if row["reason"] == BOOKED:
            return State.DONE
        return State.NOT_ASKED if row["reason"] == PAST_DUE else State.CANCELLED
    return State.DONE if row["status"] == TaskStatus.COMPLETED else State.ASKED


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
                open=row["status"] in OPEN,
                done=row["status"] == TaskStatus.COMPLETED,
                due_at=row["due_at"] if kind is CoverKind.TELEPHONE else None,
                row_id=row["row_id"],
                version=row["version"],
                lists_more=row["covers_more"],
            )


def _cover_kind(row: Row) -> CoverKind | None:
    """A call in place of a link is the comparison's where a check-in was asked after all; any other was raised, as by silence."""
    if (row["kind"], row["focus_kind"]) == (Kind.STAFF_CHECK_IN, "CheckIn"):
        return CoverKind.TELEPHONE if row["because"] == ReasonCode.ASKED_AFTER_ALL else CoverKind.OVERDUE
    return COVER_KINDS.get(row["kind"])


def _covered(row: Row, kind: CoverKind, key_of: Mapping[UUID, Key]) -> Iterator[Key]:
    """What it names; what the version before wrote is found by what it is about, or by the ids and codes that it lists."""
    yield from (Key(UUID(anchor_id), code, number) for anchor_id, code, number in row["covered"] or ())
    if row["focus_id"] in key_of and row["focus_kind"] == "CheckIn":
        yield key_of[row["focus_id"]]
    if kind is CoverKind.DUE_REVIEW:
        yield from (Key(row["focus_id"], "C24" if code == Kind.STAFF_CHECK_IN else code) for code in row["facts"]["kept"])
    listed = (UUID(item["id"]) for item in row["details"].get("items", ()))
    yield from (key_of[row_id] for row_id in listed if row_id in key_of)
