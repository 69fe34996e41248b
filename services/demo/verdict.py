"""The closing table: what was promised for the day, counted afterwards in the databases and over the API."""

from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import asyncpg
from rich.table import Table

from services.demo.day import Day
from services.embedded import Embedding, private_postgres
from shared.postgres import SERVICES

FULL_SET = ("C24", "C72", "integration-session")


@dataclass(frozen=True)
class Line:
    """One line of the table; with ``must_be`` it is a promise."""

    what: str
    found: int
    must_be: int | None = None

    @property
    def broken(self) -> bool:
        return self.must_be is not None and self.found != self.must_be


async def count(embedding: Embedding, day: Day) -> list[Line]:
    """All lines. The databases are read as their superuser, whom no service can be."""
    server = private_postgres(embedding)
    await server.start()
    connections = {service: await server.admin(service) for service in SERVICES}
    try:
        ended = await _ended_with_drug(connections["sessions"])
        sets = await _sets(connections["followup"])
        lines = [
            Line("infusions booked", len(day.people)),
            Line("infusions that ended with drug given", len(ended)),
            Line("follow-up sets made for them", sum(1 for infusion in ended if _is_full(sets.get(infusion, {})))),
            Line("sets missing or incomplete", sum(1 for infusion in ended if not _is_full(sets.get(infusion, {}))), 0),
            Line("sets doubled", sum(1 for items in sets.values() if any(count > 1 for count in items.values())), 0),
            Line("sets for infusions without drug", len(set(sets) - await _ever_ended(connections["sessions"])), 0),
            *await _not_done(connections),
            *await _messages(connections, {path.stem for path in embedding.messages.glob("*.json")}),
            *await _open_after_the_end(connections),
            *await _pipeline(connections),
            *await _by_api(day, ended),
        ]
    finally:
        for connection in connections.values():
            await connection.close()
    return lines


def table(lines: list[Line]) -> Table:
    """The lines as a person reads them."""
    shown = Table("", "found", "must be", title="The day, counted afterwards", title_justify="left")
    for line in lines:
        style = "bold red" if line.broken else "green" if line.must_be is not None else ""
        shown.add_row(line.what, str(line.found), "" if line.must_be is None else str(line.must_be), style=style)
    return shown


Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connections: TypeAlias = "dict[str, Connection]"


async def _ended_with_drug(sessions: Connection) -> set[UUID]:
    rows = await sessions.fetch(
        """
        SELECT infusion_id FROM infusion WHERE dose_given_mg > 0
        AND state IN ('completed', 'stopped-early', 'left-against-advice', 'transferred')
        """
    )
    return {row["infusion_id"] for row in rows}


async def _ever_ended(sessions: Connection) -> set[UUID]:
    rows = await sessions.fetch("SELECT infusion_id FROM infusion WHERE ended_at IS NOT NULL AND dose_given_mg > 0")
    return {row["infusion_id"] for row in rows}


async def _sets(followup: Connection) -> dict[UUID, dict[str, int]]:
    """For every infusion with a plan: how often each part of a set is there. A staff call stands in for a check-in by link."""
    rows = await followup.fetch(
        """
        SELECT infusion_id, 'plan' AS part FROM plan
        UNION ALL SELECT infusion_id, code FROM check_in WHERE infusion_id IS NOT NULL
        UNION ALL SELECT infusion_id, kind FROM care_task WHERE kind = 'integration-session'
        UNION ALL SELECT infusion_id, 'C24' FROM care_task WHERE kind = 'staff-check-in' AND focus_kind = 'Infusion'
        """
    )
    sets: dict[UUID, dict[str, int]] = {}
    for row in rows:
        parts = sets.setdefault(row["infusion_id"], {})
        parts[row["part"]] = parts.get(row["part"], 0) + 1
    return sets


def _is_full(parts: dict[str, int]) -> bool:
    return all(parts.get(part, 0) >= 1 for part in ("plan", *FULL_SET))


async def _not_done(connections: Connections) -> list[Line]:
    wanted = await connections["sessions"].fetchval("SELECT count(*) FROM infusion WHERE state IN ('not-done', 'no-show', 'cancelled')")
    made = await connections["followup"].fetchval("SELECT count(*) FROM care_task WHERE kind = 'rebook'")
    return [Line("visits that did not happen", wanted), Line("rebooking tasks for them", made, wanted)]


async def _messages(connections: Connections, outbox: set[str]) -> list[Line]:
    """A message counts as gone from the moment at which it was about to be handed over, whatever became of its process."""
    left = await connections["followup"].fetch(
        """
        SELECT message_id, patient_id, check_in_id, coalesce(sent_at, handed_over_at) AS gone_at
        FROM message WHERE handed_over_at IS NOT NULL
        """
    )
    ended = await connections["intake"].fetch("SELECT patient_id, status_changed_at FROM patient WHERE status <> 'active'")
    until = {row["patient_id"]: row["status_changed_at"] for row in ended}
    late = [row for row in left if row["patient_id"] in until and row["gone_at"] > until[row["patient_id"]]]
    known = {str(row["message_id"]): row["check_in_id"] for row in left}
    return [
        Line("messages in the outbox", len(outbox)),
        Line("messages in the outbox that nobody recorded", len(outbox - known.keys()), 0),
        Line("messages doubled", len(outbox) - len({known.get(message, message) for message in outbox}), 0),
        Line("messages after death or withdrawal", len(late), 0),
    ]


async def _open_after_the_end(connections: Connections) -> list[Line]:
    """Nothing may stay planned for who has died or withdrawn, or for an infusion that never was."""
    ended = await connections["intake"].fetch("SELECT patient_id FROM patient WHERE status <> 'active'")
    struck = await connections["sessions"].fetch("SELECT infusion_id FROM infusion WHERE state = 'entered-in-error'")
    left = await connections["followup"].fetchval(
        """
        SELECT count(*) FROM check_in WHERE status IN ('planned', 'open', 'overdue')
        AND (patient_id = ANY($1::uuid[]) OR infusion_id = ANY($2::uuid[]))
        """,
        [row["patient_id"] for row in ended],
        [row["infusion_id"] for row in struck],
    )
    answers = await connections["followup"].fetchval("SELECT count(*) FROM check_in_answers")
    reviews = await connections["followup"].fetchval("SELECT count(*) FROM care_task WHERE kind = 'safety-review'")
    worries = await connections["followup"].fetchval("SELECT count(DISTINCT check_in_id) FROM check_in_worry")
    return [
        Line("check-ins left open after death, withdrawal or error", left, 0),
        Line("check-ins answered", answers),
        Line("worrying answers", worries),
        Line("worrying answers without owned work", max(worries - reviews, 0), 0),
    ]


async def _pipeline(connections: Connections) -> list[Line]:
    pending = [await connection.fetchval("SELECT count(*) FROM platform.outbox_pending") for connection in connections.values()]
    parked = [await connection.fetchval("SELECT count(*) FROM platform.parked") for connection in connections.values()]
    events = [await connection.fetchval("SELECT count(*) FROM platform.event_log") for connection in connections.values()]
    return [Line("events told", sum(events)), Line("events not delivered", sum(pending), 0), Line("events parked", sum(parked), 0)]


async def _by_api(day: Day, ended: set[UUID]) -> list[Line]:
    """The same question as a clinic system asks it: one plan for each infusion."""
    acting = UUID(day.staff.coordinator)
    wrong = 0
    for infusion_id in ended:
        plans = await day.system.get("/followup/v1/plans", acting=acting, infusion_id=str(infusion_id))
        wrong += len(plans["items"]) != 1
    return [Line("infusions without exactly one plan by the API", wrong, 0)]
