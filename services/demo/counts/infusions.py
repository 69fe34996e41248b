"""Visits and what follows from them: each as it was acknowledged to the clinic's system, with its follow-up once."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from services.demo.cast import NO_VISIT, Person
from services.demo.ledger import Ledger, Line

FULL_SET = ("plan", "C24", "C72", "integration-session")
Sets = dict[str, Counter[str]]
"""For every infusion with a plan: how often each part of a set is there."""


async def lines(ledger: Ledger, people: Sequence[Person]) -> list[Line]:
    """Of visits that took place and of those that did not."""
    infused = [person for person in people if person.infused]
    ever_infused = {person.infusion_id for person in people if person.pump_ended_at is not None}
    booked = {row["infusion_id"]: row["state"] for row in await ledger.rows("sessions", _BOOKED)}
    sets = await _sets(ledger)
    full = sum(all(sets.get(person.infusion_id, Counter())[part] for part in FULL_SET) for person in infused)
    return [
        Line("infusions booked", len(booked), len(people)),
        Line("infusions that do not stand as acknowledged", sum(booked.get(who.infusion_id) != who.infusion for who in people), 0),
        Line("infusions that ended with drug given", len(infused)),
        Line("follow-up sets made for them", full, len(infused)),
        Line("sets missing or incomplete", len(infused) - full, 0),
        Line("sets doubled", sum(any(count > 1 for count in parts.values()) for parts in sets.values()), 0),
        Line("sets for infusions without drug", len(sets.keys() - ever_infused), 0),
        *await _pump_ends(ledger, infused),
        *await _weekly(ledger, infused, people),
        *await _rebooked(ledger, people),
    ]


async def _sets(ledger: Ledger) -> Sets:
    """A staff call stands in for a check-in by link."""
    sets: Sets = {}
    for row in await ledger.rows("followup", _PARTS):
        sets.setdefault(row["infusion_id"], Counter())[row["part"]] += 1
    return sets


async def _pump_ends(ledger: Ledger, infused: Sequence[Person]) -> list[Line]:
    """Every clock of the follow-up runs from there, so an amendment must have come through."""
    rows = await ledger.rows("followup", "SELECT infusion_id, pump_ended_at FROM plan WHERE clinic_id = :clinic")
    planned = {row["infusion_id"]: datetime.fromisoformat(row["pump_ended_at"]) for row in rows}
    return [Line("plans with another pump end than charted", sum(planned.get(who.infusion_id) != who.pump_ended_at for who in infused), 0)]


async def _weekly(ledger: Ledger, infused: Sequence[Person], people: Sequence[Person]) -> list[Line]:
    """A course whose only infusion was entered in error has begun all the same."""
    begun = {row["course_id"]: row["clocks"] for row in await ledger.rows("followup", _SERIES)}
    courses = {person.course_id for person in infused}
    ever_begun = {person.course_id for person in people if person.pump_ended_at is not None}
    return [
        Line("courses begun without exactly one weekly series", sum(begun.get(course) != 1 for course in courses), 0),
        Line("weekly series for courses that did not begin", len(begun.keys() - ever_begun), 0),
    ]


async def _rebooked(ledger: Ledger, people: Sequence[Person]) -> list[Line]:
    """By visit: one task too many does not make up for one that is missing."""
    rows = await ledger.rows("followup", "SELECT focus_id, status FROM care_task WHERE clinic_id = :clinic AND kind = 'rebook'")
    asked = Counter(row["focus_id"] for row in rows)
    called_off = sum(row["status"] in ("cancelled", "entered-in-error") for row in rows)
    missed = {person.infusion_id for person in people if person.infusion in NO_VISIT}
    return [
        Line("visits that did not happen", len(missed)),
        Line("of them with exactly one task to rebook", sum(asked[visit] == 1 for visit in missed), len(missed)),
        Line("tasks to rebook for other visits, or called off", len(asked.keys() - missed) + called_off, 0),
    ]


_BOOKED = "SELECT infusion_id, state FROM infusion WHERE clinic_id = :clinic"
_PARTS = """
SELECT infusion_id, 'plan' AS part FROM plan WHERE clinic_id = :clinic
UNION ALL SELECT infusion_id, code FROM check_in WHERE clinic_id = :clinic AND infusion_id IS NOT NULL
UNION ALL SELECT infusion_id, kind FROM care_task WHERE clinic_id = :clinic AND kind = 'integration-session'
UNION ALL SELECT infusion_id, 'C24' FROM care_task
          WHERE clinic_id = :clinic AND kind = 'staff-check-in' AND focus_kind = 'Infusion'
"""
_SERIES = """
    SELECT course.course_id, CASE
        WHEN course.status IN ('active', 'on-hold') AND patient.status = 'active' AND patient.treatment_revoked_at IS NULL THEN (
            SELECT count(*) FROM platform.timer
            WHERE timer.subject_id = course.patient_id AND timer.kind = 'plan-wake' AND timer.state = 'armed'
        )
        ELSE 1
    END AS clocks
    FROM course
    JOIN patient ON patient.clinic_id = course.clinic_id AND patient.patient_id = course.patient_id
    JOIN anchor_pin ON anchor_pin.clinic_id = course.clinic_id AND anchor_pin.anchor_id = course.course_id
    WHERE course.clinic_id = :clinic
"""
"""Courses whose weeks a protocol asks, each with the clock of its next week where it goes on."""
