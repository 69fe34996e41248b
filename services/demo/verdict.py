"""The closing table: what was promised for the day, counted afterwards in the databases and over the API."""

from uuid import UUID

from rich.table import Table

from services.demo.counts import endings, infusions, outreach
from services.demo.day import Day
from services.demo.ledger import Ledger, Line
from shared.postgres import SERVICES


async def count(ledger: Ledger, day: Day) -> list[Line]:
    """All lines that hold however the product runs. What must be is what the day's cast was told, not what another table says."""
    return [
        *await infusions.lines(ledger, day.people),
        *await outreach.lines(ledger, day.people),
        *await endings.lines(ledger, day.people),
        *await _pipeline(ledger),
        *await _by_api(day),
    ]


def table(lines: list[Line]) -> Table:
    """The lines as a person reads them."""
    shown = Table("", "found", "must be", title="The day, counted afterwards", title_justify="left")
    for line in lines:
        style = "bold red" if line.broken else "green" if line.must_be is not None else ""
        shown.add_row(line.what, str(line.found), "" if line.must_be is None else str(line.must_be), style=style)
    return shown


async def _pipeline(ledger: Ledger) -> list[Line]:
    """What lies undelivered or parked counts whichever clinic it is of."""
    events = [await ledger.number(service, "SELECT count(*) FROM platform.event_log WHERE clinic_id = :clinic") for service in SERVICES]
    parked = [await ledger.number(service, "SELECT count(*) FROM platform.parked") for service in SERVICES]
    return [
        Line("events told", sum(events)),
        Line("events not delivered", await ledger.under_way(), 0),
        Line("events parked", sum(parked), 0),
    ]


async def _by_api(day: Day) -> list[Line]:
    """The same question as a clinic system asks it: one plan for each infusion."""
    acting = UUID(day.staff.coordinator)
    wrong = 0
    for person in day.people:
        if not person.infused:
            continue
        plans = await day.system.get("/followup/v1/plans", acting=acting, infusion_id=person.infusion_id)
        wrong += len(plans["items"]) != 1
    return [Line("infusions without exactly one plan by the API", wrong, 0)]
