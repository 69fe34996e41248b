"""What all commands share: their options, whom they ask, long work part by part, and how they answer."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from services.pipeline.client import Failed, Json, Operator
from shared.postgres import SERVICES

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, for machines.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without this nothing is changed and you see what would happen.")]
OneService = Annotated[str | None, typer.Option("--service", help="intake, sessions or followup; all of them otherwise.")]
By = Annotated[str, typer.Option("--by", help="Your name; it is kept with the decision.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept with the decision. Never a patient's name.")]
ParkedId = Annotated[str, typer.Argument(metavar="ID", help="As listed, for example followup/17.")]

_READERS = ("sessions", "followup")
_COLUMNS_OF_A_FILE = 180
"""Where nobody looks at a terminal, a line has room for a whole key."""


@contextmanager
def asked(context: typer.Context) -> Iterator[Operator]:
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


def parts(ask: Callable[[Json], Json]) -> Iterator[Json]:
    """A long piece of work, part by part, until there is no next one; ``ask`` is given where the next part begins, at first nothing."""
    further: Json = {}
    while True:
        part = ask(further)
        yield part
        if part["next_after"] is None:
            return
        further = {"after": part["next_after"]} | ({"resume_at": part["resume_at"]} if part.get("resume_at") else {})


def posted(operator: Operator, path: str, body: Json) -> list[Json]:
    """All parts of what is asked for with a body."""
    return list(parts(lambda further: operator.post(path, {**body, **further})))


def or_error(ask: Callable[[], Json]) -> Json:
    """One service that does not answer must not hide the others; a refused key hides them all."""
    try:
        return ask()
    except Failed as failed:
        if failed.status in (0, 401, 403):
            raise
        return {"error": f"does not answer ({failed.status})"}


def answer(document: object, as_json: bool, told: Callable[[Console], object], *, dry: bool = False) -> None:
    """Print the document for a machine, or what is ``told`` for a person."""
    if as_json:
        typer.echo(json.dumps(document, indent=1))
        return
    console = Console(soft_wrap=True, markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _COLUMNS_OF_A_FILE
    told(console)
    if dry:
        console.print("Nothing was changed. To do it, add --yes")


def chosen(only: str | None) -> tuple[str, ...]:
    """The services that a command is for."""
    if only is not None and only not in SERVICES:
        raise typer.BadParameter(f"--service is one of {', '.join(SERVICES)}.")
    return tuple(SERVICES) if only is None else (only,)


def reader(consumer: str) -> str:
    """The service that a command about reading is for."""
    if consumer not in _READERS:
        raise typer.BadParameter(f"--consumer is {' or '.join(_READERS)}; no other service reads events.")
    return consumer


def number_of(parked_id: str) -> tuple[str, int]:
    """The service and the number of a parked record."""
    service, _, number = parked_id.partition("/")
    if service not in SERVICES or not (number.isascii() and number.isdigit()):
        raise typer.BadParameter("An ID is a service and a number, as listed: followup/17")
    return service, int(number)


def at(service: str) -> str:
    """Where a service has its pipeline."""
    return f"/{service}/v1/pipeline"
