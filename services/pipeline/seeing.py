"""Commands that look: nothing is changed by them."""

from functools import partial
from itertools import islice
from typing import Annotated

import typer

from services.pipeline import view
from services.pipeline.asking import AsJson, OneService, ParkedId, answer, asked, at, chosen, number_of, or_error


def status(context: typer.Context, service: OneService = None, as_json: AsJson = False) -> None:
    """Outbox, relay, lag and parked records of every service. Exit code 1 when a service does not answer."""
    with asked(context) as operator:
        found = {name: or_error(partial(operator.get, at(name))) for name in chosen(service)}
    answer(found, as_json, lambda console: view.status(console, found))
    if any("error" in one for one in found.values()):
        raise typer.Exit(1)


def parked(
    context: typer.Context,
    reason: Annotated[str | None, typer.Option(help="Only those parked for this reason.")] = None,
    key: Annotated[str | None, typer.Option(help="Only those of this key.")] = None,
    service: OneService = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many of each service.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what could not be handled, oldest first."""
    with asked(context) as operator:
        rows = [
            (name, row)
            for name in chosen(service)
            for row in islice(operator.items(f"{at(name)}/parked", reason=reason, key=key, limit=min(limit, 200)), limit)
        ]
    answer([{"service": name, **row} for name, row in rows], as_json, lambda console: view.parked(console, rows))


def show(context: typer.Context, parked_id: ParkedId, as_json: AsJson = False) -> None:
    """Show one parked record: ids, reason and the headers that hold no more than they should."""
    service, number = number_of(parked_id)
    with asked(context) as operator:
        found = operator.get(f"{at(service)}/parked/{number}")
    answer(found, as_json, lambda console: view.record(console, found))
