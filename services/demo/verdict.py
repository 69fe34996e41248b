"""The closing table: what was promised for the day, counted afterwards in the databases and over the API."""

from datetime import datetime
from uuid import UUID

from rich.table import Table

from services.demo.day import Day
from services.demo.ledger import Ledger, Line
from shared.postgres import SERVICES

FULL_SET = ("C24", "C72", "integration-session")


async def count(ledger: Ledger, day: Day, messages: set[str]) -> list[Line]:
    """All lines that hold however the product runs; ``messages`` are the ids of those that reached the day's patients."""
    ended = await _ended_with_drug(ledger)
    sets = await _sets(ledger)
    return [
        Line("infusions booked", len(day.people)),
        Line("infusions that ended with drug given", len(ended)),
        Line("follow-up sets made for them", sum(1 for infusion in ended if _is_full(sets.get(infusion, {})))),
        Line("sets missing or incomplete", sum(1 for infusion in ended if not _is_full(sets.get(infusion, {}))), 0),
        Line("sets doubled", sum(1 for items in sets.values() if any(count > 1 for count in items.values())), 0),
        Line("sets for infusions without drug", len(set(sets) - await _ever_ended(ledger)), 0),
        *await _not_done(ledger),
        *await _messages(ledger, messages),
        *await _open_after_the_end(ledger),
        *await _pipeline(ledger),
        *await _by_api(day, ended),
    ]


def table(lines: list[Line]) -> Table:
    """The lines as a person reads them."""
    shown = Table("", "found", "must be", title="The day, counted afterwards", title_justify="left")
    for line in lines:
        style = "bold red" if line.broken else "green" if line.must_be is not None else ""
        shown.add_row(line.what, str(line.found), "" if line.must_be is None else str(line.must_be), style=style)
    return shown


async def _ended_with_drug(ledger: Ledger) -> set[str]:
    rows = await ledger.rows(
        "sessions",
        """
        SELECT infusion_id FROM infusion WHERE clinic_id = :clinic AND dose_given_mg > 0
        AND state IN ('completed', 'stopped-early', 'left-against-advice', 'transferred')
        """,
    )
    return {row["infusion_id"] for row in rows}


async def _ever_ended(ledger: Ledger) -> set[str]:
    rows = await ledger.rows(
        "sessions", "SELECT infusion_id FROM infusion WHERE clinic_id = :clinic AND ended_at IS NOT NULL AND dose_given_mg > 0"
    )
    return {row["infusion_id"] for row in rows}


async def _sets(ledger: Ledger) -> dict[str, dict[str, int]]:
    """For every infusion with a plan: how often each part of a set is there. A staff call stands in for a check-in by link."""
    rows = await ledger.rows(
        "followup",
        """
        SELECT infusion_id, 'plan' AS part FROM plan WHERE clinic_id = :clinic
        UNION ALL SELECT infusion_id, code FROM check_in WHERE clinic_id = :clinic AND infusion_id IS NOT NULL
        UNION ALL SELECT infusion_id, kind FROM care_task WHERE clinic_id = :clinic AND kind = 'integration-session'
        UNION ALL SELECT infusion_id, 'C24' FROM care_task
                  WHERE clinic_id = :clinic AND kind = 'staff-check-in' AND focus_kind = 'Infusion'
        """,
    )
    sets: dict[str, dict[str, int]] = {}
    for row in rows:
        parts = sets.setdefault(row["infusion_id"], {})
        parts[row["part"]] = parts.get(row["part"], 0) + 1
    return sets


def _is_full(parts: dict[str, int]) -> bool:
    return all(parts.get(part, 0) >= 1 for part in ("plan", *FULL_SET))


async def _not_done(ledger: Ledger) -> list[Line]:
    wanted = await ledger.number(
        "sessions", "SELECT count(*) FROM infusion WHERE clinic_id = :clinic AND state IN ('not-done', 'no-show', 'cancelled')"
    )
    made = await ledger.number("followup", "SELECT count(*) FROM care_task WHERE clinic_id = :clinic AND kind = 'rebook'")
    return [Line("visits that did not happen", wanted), Line("rebooking tasks for them", made, wanted)]


async def _messages(ledger: Ledger, outbox: set[str]) -> list[Line]:
    """A message counts as gone from the moment at which it was about to be handed over, whatever became of its process."""
    left = await ledger.rows(
        "followup",
        """
        SELECT message_id, patient_id, check_in_id, coalesce(sent_at, handed_over_at) AS gone_at
        FROM message WHERE clinic_id = :clinic AND handed_over_at IS NOT NULL
        """,
    )
    ended = await ledger.rows(
        "intake", "SELECT patient_id, status_changed_at FROM patient WHERE clinic_id = :clinic AND status <> 'active'"
    )
    until = {row["patient_id"]: datetime.fromisoformat(row["status_changed_at"]) for row in ended}
    late = [row for row in left if row["patient_id"] in until and datetime.fromisoformat(row["gone_at"]) > until[row["patient_id"]]]
    known = {row["message_id"]: row["check_in_id"] for row in left}
    return [
        Line("messages in the outbox", len(outbox)),
        Line("messages in the outbox that nobody recorded", len(outbox - known.keys()), 0),
        Line("messages doubled", len(outbox) - len({known.get(message, message) for message in outbox}), 0),
        Line("messages after death or withdrawal", len(late), 0),
    ]


async def _open_after_the_end(ledger: Ledger) -> list[Line]:
    """Nothing may stay planned for who has died or withdrawn, or for an infusion that never was."""
    ended = await ledger.rows("intake", "SELECT patient_id FROM patient WHERE clinic_id = :clinic AND status <> 'active'")
    struck = await ledger.rows("sessions", "SELECT infusion_id FROM infusion WHERE clinic_id = :clinic AND state = 'entered-in-error'")
    open_ones = await ledger.rows(
        "followup",
        """
        SELECT patient_id, infusion_id FROM check_in WHERE clinic_id = :clinic AND status IN ('planned', 'open', 'overdue')
        """,
    )
    people, infusions = {row["patient_id"] for row in ended}, {row["infusion_id"] for row in struck}
    left = [row for row in open_ones if row["patient_id"] in people or row["infusion_id"] in infusions]
    answers = await ledger.number("followup", "SELECT count(*) FROM check_in_answers WHERE clinic_id = :clinic")
    reviews = await ledger.number("followup", "SELECT count(*) FROM care_task WHERE clinic_id = :clinic AND kind = 'safety-review'")
    worries = await ledger.number("followup", "SELECT count(DISTINCT check_in_id) FROM check_in_worry WHERE clinic_id = :clinic")
    return [
        Line("check-ins left open after death, withdrawal or error", len(left), 0),
        Line("check-ins answered", answers),
        Line("worrying answers", worries),
        Line("worrying answers without owned work", max(worries - reviews, 0), 0),
    ]


async def _pipeline(ledger: Ledger) -> list[Line]:
    """What lies undelivered or parked counts whichever clinic it is of."""
    events = [await ledger.number(service, "SELECT count(*) FROM platform.event_log WHERE clinic_id = :clinic") for service in SERVICES]
    parked = [await ledger.number(service, "SELECT count(*) FROM platform.parked") for service in SERVICES]
    return [
        Line("events told", sum(events)),
        Line("events not delivered", await ledger.under_way(), 0),
        Line("events parked", sum(parked), 0),
    ]


async def _by_api(day: Day, ended: set[str]) -> list[Line]:
    """The same question as a clinic system asks it: one plan for each infusion."""
    acting = UUID(day.staff.coordinator)
    wrong = 0
    for infusion_id in ended:
        plans = await day.system.get("/followup/v1/plans", acting=acting, infusion_id=infusion_id)
        wrong += len(plans["items"]) != 1
    return [Line("infusions without exactly one plan by the API", wrong, 0)]
