"""Commands that settle what is parked."""

from typing import Annotated

import typer
from rich.console import Console

from services.pipeline import view
from services.pipeline.asking import AsJson, By, OneService, ParkedId, Why, Yes, answer, asked, at, chosen, number_of, posted
from services.pipeline.client import Json


def redrive(
    context: typer.Context,
    key: Annotated[str | None, typer.Option(help="All records of this key.")] = None,
    reason: Annotated[str | None, typer.Option(help="All records parked for this reason, and what waits behind them.")] = None,
    from_id: Annotated[str | None, typer.Option("--from", metavar="ID", help="First of a range.")] = None,
    to_id: Annotated[str | None, typer.Option("--to", metavar="ID", help="Last of the range; the same service.")] = None,
    service: OneService = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Try parked records again, in the order of each key. Exit code 1 when one failed again."""
    if [bool(key), bool(reason), bool(from_id or to_id)].count(True) != 1 or bool(from_id) != bool(to_id):
        raise typer.BadParameter("Say which records: exactly one of --key, --reason, or --from with --to.")
    body: Json = {"dry_run": not yes} | {name: value for name, value in (("key", key), ("reason", reason)) if value}
    if from_id and to_id:
        (first, low), (last, high) = number_of(from_id), number_of(to_id)
        if first != last or service not in (None, first):
            raise typer.BadParameter("A range lies in one service.")
        service, body = first, {**body, "from_id": low, "to_id": high}
    with asked(context) as operator:
        found = {name: posted(operator, f"{at(name)}/redrive", body) for name in chosen(service)}
    answer(found, as_json, lambda console: view.redriven(console, found), dry=not yes)
    if any(part["failed"] for some in found.values() for part in some):
        raise typer.Exit(1)


def discard(context: typer.Context, parked_id: ParkedId, by: By, reason: Why, as_json: AsJson = False) -> None:
    """Give one parked record up for good. What waits behind it goes on when its key is redriven."""
    service, number = number_of(parked_id)
    with asked(context) as operator:
        done = operator.post(f"{at(service)}/parked/{number}/discard", {"by": by, "reason": reason})

    def told(console: Console) -> None:
        console.print(f"{parked_id} is discarded.")
        if done["behind"]:
            how = f"--key {done['key']}" if done["key"] else "--from and --to"
            console.print(f"{done['behind']} wait behind it. To let them go on: afterglow pipeline redrive {how} --yes")

    answer(done, as_json, told)
