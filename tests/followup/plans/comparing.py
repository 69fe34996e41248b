"""What events left in the database beside what the comparison would want: rows as facts and items, and the difference."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.followup.plans.changes import CoverChange
from services.followup.plans.entry_files import shipped_lists
from services.followup.plans.facts import Absence, Cause, Course, Facts, Outcome, Span, Visit, VisitState
from services.followup.plans.pinned import Pinned
from services.followup.plans.plan import plan
from services.followup.plans.reconcile import reconcile
from services.followup.plans.stored import PAST_DUE, Cover, CoverKind, Items, Stored
from services.followup.plans.wanted import Key, Plan, State, Times
from tests.followup.clinic import Clinic, Json
from tests.followup.clinic import Visit as Infusion

ITEM_KINDS = {"integration-session", "staff-check-in", "same-evening-call", "left-against-advice", "rebook", "safety-offer-call"}
COVER_KINDS = {
    "catch-up-call": CoverKind.CATCH_UP,
    "check-in-overdue-call": CoverKind.OVERDUE,
    "due-time-review": CoverKind.DUE_REVIEW,
    "cancellation-review": CoverKind.CALLED_OFF,
}
VISIT_STATES = {
    "scheduled": VisitState.BOOKED, "started": VisitState.STARTED, "not-done": VisitState.MISSED, "no-show": VisitState.MISSED,
    "cancelled": VisitState.MISSED, "entered-in-error": VisitState.VOID,
}  # fmt: skip
CHECK_IN_STATES = {
    "planned": State.PLANNED, "open": State.ASKED, "overdue": State.ASKED, "submitted": State.DONE, "expired": State.EXPIRED,
    "superseded": State.SUPERSEDED, "cancelled": State.CANCELLED,
}  # fmt: skip
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Rows:
    """All that followup holds of one patient."""

    patient: Json
    clinic_zone: str
    courses: list[Json]
    infusions: list[Json]
    plans: Mapping[UUID, Json]
    check_ins: list[Json]
    tasks: list[Json]


async def differences(clinic: Clinic, infusion: Infusion) -> list[str]:
    """What the comparison would change for this patient now, by what is done to which item; nothing is written."""
    rows, now = await _read(clinic, infusion.patient_id), clinic.clock.now()
    facts, items = _facts(rows), _items(rows)
    wanted = plan(facts, Pinned(shipped_lists({"C24", "C72", "WK"})), now)
    changes = reconcile(_remembering(items, wanted), wanted, now)
    named = ((change.step, change.after.kind if isinstance(change, CoverChange) else change.after.key.code) for change in changes)
    return sorted(f"{step} {name}" for step, name in named)


async def _read(clinic: Clinic, patient_id: UUID) -> Rows:
    async def of(table: str, order: str) -> list[Json]:
        statement = f"SELECT * FROM {table} WHERE patient_id = :id ORDER BY {order}"  # noqa: S608 - tables of our own
        return await clinic.rows(statement, id=patient_id)

    (patient,) = await of("patient", "patient_id")
    (known,) = await clinic.rows("SELECT time_zone FROM clinic")
    plans = {row["infusion_id"]: row for row in await of("plan", "plan_id")}
    courses, infusions = await of("course", "course_id"), await of("infusion", "infusion_id")
    check_ins, tasks = await of("check_in", "ordinal"), await of("care_task", "ordinal, attempt")
    return Rows(patient, known["time_zone"], courses, infusions, plans, check_ins, tasks)


def _facts(rows: Rows) -> Facts:
    zone = rows.patient["time_zone"] or next((row["patient_time_zone"] for row in rows.plans.values()), rows.clinic_zone)
    done = {key for key, item in _items(rows).stored.items() if item.state is State.DONE}
    return Facts(
        rows.patient["patient_id"], ZoneInfo(zone), ZoneInfo(rows.clinic_zone), absences=tuple(_absences(rows.patient)),
        courses=tuple(_course(row, rows) for row in rows.courses), visits=tuple(_visit(row, rows) for row in rows.infusions),
        done=frozenset(done),
    )  # fmt: skip


def _absences(patient: Json) -> Iterable[Absence]:
    since = patient["status_since"] or _LONG_AGO
    if patient["status"] == "deceased":
        yield Absence(Cause.DEATH, Span(since), patient["status_version"])
    if patient["left_version"] is not None or patient["status"] == "withdrawn":
        yield Absence(Cause.WITHDRAWAL, Span(since), patient["left_version"] or 0)
    if patient["treatment_standing"] == "revoked":
        number = -patient["revoked_version"] if patient["revoked_version"] else 1
        yield Absence(Cause.CONSENT_REVOKED, Span(patient["treatment_since"] or _LONG_AGO), number)


def _course(row: Json, rows: Rows) -> Course:
    """When a course ended is not kept today: it ended after the last week that was asked."""
    if row["status"] not in ("stopped", "completed"):
        return Course(row["course_id"])
    weeks = [one["opens_at"] for one in rows.check_ins if one["code"] == "WK" and one["course_id"] == row["course_id"]]
    return Course(row["course_id"], (Span(None, max(weeks, default=_LONG_AGO) + timedelta(seconds=1)),))


def _visit(row: Json, rows: Rows) -> Visit:
    ended = row["state"] in set(Outcome)
    followed = rows.plans.get(row["infusion_id"])
    return Visit(
        row["infusion_id"], row["course_id"], VisitState.ENDED if ended else VISIT_STATES[row["state"]], row["scheduled_at"],
        row["started_at"], row["pump_ended_at"], followed["discharged_at"] if followed else None,
        Outcome(row["state"]) if ended else None, row["drug_given"],
    )  # fmt: skip


def _items(rows: Rows) -> Items:
    """Of each key the newest generation; the person who asks in place of C24 has its key."""
    stored = {item.key: item for item in map(_asked, rows.check_ins)}
    for row in rows.tasks:
        if row["kind"] in ITEM_KINDS and row["focus_kind"] == "Infusion":
            item = _work(row)
            known = stored.get(item.key)
            if known is None or item.is_open or not known.is_open:
                stored[item.key] = item
    return Items(stored, tuple(_covers(rows)))


def _asked(row: Json) -> Stored:
    weekly = row["infusion_id"] is None
    key = Key(row["course_id"] if weekly else row["infusion_id"], row["code"], row["ordinal"] if weekly else 0)
    state = State.NOT_ASKED if row["ended_reason"] == PAST_DUE else CHECK_IN_STATES[row["status"]]
    times = Times(row["opens_at"], row["due_at"], row["expires_at"])
    sent, generation = row["opened_at"] is not None, 0 if weekly else row["ordinal"]
    refused = row["due_at"] if row["due_kept"] else None
    return Stored(key, False, state, times, row["ended_reason"], sent=sent, refused=refused, generation=generation)


def _work(row: Json) -> Stored:
    offer = row["kind"] == "safety-offer-call"
    code = row["details"].get("code", "C24") if row["kind"] == "staff-check-in" else row["kind"]
    key = Key(row["patient_id"], code, row["ordinal"]) if offer else Key(row["focus_id"], code)
    times = Times(row["window_starts_at"], row["due_at"], row["expires_at"])
    return Stored(
        key, True, _state_of(row), times, row["status_reason"], offered=row["business_status"] == "offered", settled=row["attempt"] > 1,
        refused=row["due_at"] if row["due_kept"] else None, generation=row["ordinal"],
    )  # fmt: skip


def _state_of(row: Json) -> State:
    if row["status"] in ("cancelled", "entered-in-error"):
        by_booking = row["status_reason"] == "visit-booked"
        return State.DONE if by_booking else State.NOT_ASKED if row["status_reason"] == PAST_DUE else State.CANCELLED
    return State.DONE if row["status"] == "completed" else State.ASKED


def _covers(rows: Rows) -> Iterable[Cover]:
    key_of = {row["check_in_id"]: _asked(row).key for row in rows.check_ins}
    key_of |= {row["task_id"]: _work(row).key for row in rows.tasks if row["kind"] in ITEM_KINDS and row["focus_kind"] == "Infusion"}
    for number, row in enumerate(rows.tasks):
        kind = CoverKind.TELEPHONE if _is_telephone(row) else COVER_KINDS.get(row["kind"])
        if kind:
            is_open, is_done = row["closed_at"] is None, row["status"] == "completed"
            due_at = row["due_at"] if kind is CoverKind.TELEPHONE else None
            yield Cover(kind, number, frozenset(_covered(row, kind, key_of)), _why(row), is_open, is_done, due_at)


def _is_telephone(row: Json) -> bool:
    return (row["kind"], row["focus_kind"]) == ("staff-check-in", "CheckIn")


def _covered(row: Json, kind: CoverKind, key_of: Mapping[UUID, Key]) -> Iterable[Key]:
    if row["focus_kind"] == "CheckIn":
        yield key_of[row["focus_id"]]
    if kind is CoverKind.DUE_REVIEW:
        yield from (Key(row["focus_id"], "C24" if code == "staff-check-in" else code) for code in row["facts"]["kept"])
    for item in row["details"].get("items", ()):
        if UUID(item["id"]) in key_of:
            yield key_of[UUID(item["id"])]


def _why(row: Json) -> str:
    because: Any = (row["facts"] or {}).get("cause", row["reason"])
    return str(because)


def _remembering(items: Items, wanted: Plan) -> Items:
    """Today an item remembers that a due time was refused, not which: it is taken to be the one that is wanted now."""
    stored = {}
    for key, item in items.stored.items():
        want = wanted.wanted.get(key)
        stored[key] = replace(item, refused=want.times.due_at if want and item.refused else None)
    return Items(stored, items.covers)
