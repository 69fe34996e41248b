"""The commands. Each one is a request, or one for each service; what they may do is decided by the services."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from services.pipeline import view
from services.pipeline.client import Failed, Json, Operator
from shared.postgres import SERVICES

pipeline = typer.Typer(
    name="pipeline",
    help="See and mend what moves events between the services. Prints ids, types, reasons and ages; never what an event says.",
    epilog="Examples:  afterglow pipeline status   |   afterglow pipeline --url https://127.0.0.1:8443 --secrets deploy/secrets status",
    rich_markup_mode=None,
    no_args_is_help=True,
)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, for machines.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without this nothing is changed and you see what would happen.")]
OneService = Annotated[str | None, typer.Option("--service", help="intake, sessions or followup; all of them otherwise.")]
By = Annotated[str, typer.Option("--by", help="Your name; it is kept with the decision.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept with the decision. Never a patient's name.")]
ParkedId = Annotated[str, typer.Argument(metavar="ID", help="As listed, for example followup/17.")]


@pipeline.callback()
def connection(
    context: typer.Context,
    url: Annotated[str, typer.Option(help="Where the installation is reached.", envvar="AFTERGLOW_URL")] = "http://127.0.0.1:8000",
    secrets: Annotated[Path, typer.Option(help="Its secrets folder, with the operator's key.", envvar="AFTERGLOW_SECRETS")] = Path(
        "afterglow-data/secrets"
    ),
) -> None:
    """Where to go, and as whom."""
    context.obj = (url, secrets)


@pipeline.command(epilog="Example:  afterglow pipeline status --json")
def status(context: typer.Context, service: OneService = None, as_json: AsJson = False) -> None:
    """Outbox, relay, lag and parked records of every service. Exit code 1 when a service does not answer."""
    with _operator(context) as operator:
        found = {name: _or_error(partial(operator.get, _at(name))) for name in _services(service)}
    _print(found, as_json, lambda console: view.status(console, found))
    if any("error" in one for one in found.values()):
        raise typer.Exit(1)


@pipeline.command(epilog="Example:  afterglow pipeline parked --reason poison")
def parked(
    context: typer.Context,
    reason: Annotated[str | None, typer.Option(help="Only those parked for this reason.")] = None,
    key: Annotated[str | None, typer.Option(help="Only those of this key.")] = None,
    service: OneService = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many of each service.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what could not be handled, oldest first."""
    with _operator(context) as operator:
        rows = [
            (name, row)
            for name in _services(service)
            for row in islice(operator.items(f"{_at(name)}/parked", reason=reason, key=key, limit=min(limit, 200)), limit)
        ]
    _print([{"service": name, **row} for name, row in rows], as_json, lambda console: view.parked(console, rows))


@pipeline.command(epilog="Example:  afterglow pipeline show followup/17")
def show(context: typer.Context, parked_id: ParkedId, as_json: AsJson = False) -> None:
    """Show one parked record: ids, reason and the headers that hold no more than they should."""
    service, number = _number(parked_id)
    with _operator(context) as operator:
        found = operator.get(f"{_at(service)}/parked/{number}")
    _print(found, as_json, lambda console: view.record(console, found))


@pipeline.command(
    epilog="Example:  afterglow pipeline redrive --key 0d9f... --yes   |   afterglow pipeline redrive --from followup/3 --to followup/9"
)
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
    body: Json = {"dry_run": not yes} | {name: value for name, value in (("key", key), ("reason", reason)) if value}
    if from_id or to_id:
        (first, low), (last, high) = _number(from_id or ""), _number(to_id or "")
        if first != last or service not in (None, first):
            raise typer.BadParameter("A range lies in one service.")
        service, body = first, {**body, "from_id": low, "to_id": high}
    with _operator(context) as operator:
        parts = {name: list(_parts(operator, f"{_at(name)}/redrive", body)) for name in _services(service)}
    _print(parts, as_json, lambda console: view.redriven(console, parts), dry=not yes)
    if any(part["failed"] for some in parts.values() for part in some):
        raise typer.Exit(1)


@pipeline.command(epilog='Example:  afterglow pipeline discard followup/17 --by "A. Person" --reason "told by phone, entered by hand"')
def discard(context: typer.Context, parked_id: ParkedId, by: By, reason: Why, as_json: AsJson = False) -> None:
    """Give one parked record up for good. What waits behind it goes on when its key is redriven."""
    service, number = _number(parked_id)
    with _operator(context) as operator:
        done = operator.post(f"{_at(service)}/parked/{number}/discard", {"by": by, "reason": reason})

    def told(console: Console) -> None:
        console.print(f"{parked_id} is discarded.")
        if done["behind"]:
            how = f"--key {done['key']}" if done["key"] else "--from and --to"
            console.print(f"{done['behind']} wait behind it. To let them go on: afterglow pipeline redrive {how} --yes")

    _print(done, as_json, told)


@contextmanager
def _operator(context: typer.Context) -> Iterator[Operator]:
    """The operator's client; what it is refused ends the command with a sentence and what to do next."""
    try:
        operator = Operator(*context.obj)
        try:
            yield operator
        finally:
            operator.close()
    except Failed as failed:
        Console(stderr=True, soft_wrap=True, markup=False).print(f"{failed}\n{failed.advice}")
        raise typer.Exit(1) from None


def _parts(operator: Operator, path: str, body: Json) -> Iterator[Json]:
    """A long piece of work, part by part, until there is no next one."""
    after: Any = 0
    while after is not None:
        part = operator.post(path, {**body, "after": after})
        after = part["next_after"]
        yield part


def _or_error(ask: Callable[[], Json]) -> Json:
    """One service that does not answer must not hide the others; a refused key hides them all."""
    try:
        return ask()
    except Failed as failed:
        if failed.status in (0, 401, 403):
            raise
        return {"error": f"does not answer ({failed.status})"}


def _print(document: object, as_json: bool, told: Callable[[Console], object], *, dry: bool = False) -> None:
    if as_json:
        typer.echo(json.dumps(document, indent=1))
        return
    console = Console(soft_wrap=True, markup=False, highlight=False)
    told(console)
    if dry:
        console.print("Nothing was changed. To do it, add --yes")


def _services(only: str | None) -> tuple[str, ...]:
    if only is not None and only not in SERVICES:
        raise typer.BadParameter(f"--service is one of {', '.join(SERVICES)}.")
    return tuple(SERVICES) if only is None else (only,)


def _number(parked_id: str) -> tuple[str, int]:
    service, _, number = parked_id.partition("/")
    if service not in SERVICES or not (number.isascii() and number.isdigit()):
        raise typer.BadParameter("An ID is a service and a number, as listed: followup/17")
    return service, int(number)


def _at(service: str) -> str:
    return f"/{service}/v1/pipeline"
