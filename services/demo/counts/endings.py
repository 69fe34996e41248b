"""What a death, a withdrawal or a record in error calls off, and what nothing may call off."""

from collections.abc import Sequence

from services.demo.cast import Person
from services.demo.ledger import Ledger, Line, Row

_KEPT = {
    "deceased": frozenset({"cancellation-review", "safety-review"}),
    "withdrawn": frozenset({"cancellation-review", "safety-review", "safety-offer-call", "left-against-advice"}),
    "entered-in-error": frozenset({"cancellation-review", "safety-review"}),
}
"""Kinds of tasks that people still do, by what has ended. Written out here, so that the product's own list is held against it."""


async def lines(ledger: Ledger, people: Sequence[Person]) -> list[Line]:
    """By what the clinic's system was told of each patient and record."""
    ended = {person.patient_id: _KEPT[end] for person in people if (end := _end_of(person))}
    followed = {person.patient_id for person in people if person.followed}
    waiting = await ledger.rows("followup", _WAITING)
    tasks = await ledger.rows("followup", _TASKS)
    reviewed = {row["patient_id"] for row in tasks if row["kind"] == "cancellation-review" and row["open"]}
    standing = {row["patient_id"]: row["status"] for row in await ledger.rows("intake", _STANDING)}
    return [
        Line("patients who do not stand as acknowledged", sum(standing.get(who.patient_id) != _status_of(who) for who in people), 0),
        Line("check-ins left open after death, withdrawal or error", sum(row["patient_id"] in ended for row in waiting), 0),
        Line("tasks left open after death, withdrawal or error", sum(_is_left_open(row, ended) for row in tasks), 0),
        Line("patients whose cancelled follow-up nobody looks at", len(ended.keys() - reviewed), 0),
        Line("follow-up called off without a cause", await _called_off(ledger, tasks, followed), 0),
    ]


def _end_of(person: Person) -> str:
    """One visit each, so whom a record in error is about is known by the patient."""
    return person.infusion if person.infusion in _KEPT else person.standing if person.standing in _KEPT else ""


def _status_of(person: Person) -> str:
    return person.standing if person.standing in _KEPT else "active"


def _is_left_open(task: Row, ended: dict[str, frozenset[str]]) -> bool:
    return bool(task["open"]) and task["kind"] not in ended.get(task["patient_id"], frozenset({task["kind"]}))


async def _called_off(ledger: Ledger, tasks: list[Row], followed: set[str]) -> int:
    rows = await ledger.rows("followup", "SELECT patient_id FROM check_in WHERE clinic_id = :clinic AND status = 'cancelled'")
    sessions = [row for row in tasks if row["kind"] == "integration-session" and row["called_off"]]
    return sum(row["patient_id"] in followed for row in [*rows, *sessions])


_STANDING = "SELECT patient_id, status FROM patient WHERE clinic_id = :clinic"
_WAITING = "SELECT patient_id FROM check_in WHERE clinic_id = :clinic AND status IN ('planned', 'open', 'overdue')"
_TASKS = """
SELECT patient_id, kind, status IN ('requested', 'accepted', 'on-hold') AS open, status IN ('cancelled', 'entered-in-error') AS called_off
FROM care_task WHERE clinic_id = :clinic
"""
