"""Commands that look: nothing is changed by them."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.documents.asking import AsJson, Code, asked, place_of, standing
from services.pipeline.client import Json


def list_documents(context: typer.Context, as_json: AsJson = False) -> None:
    """Which version of each document counts in the clinic now, and what is to follow it."""
    with asked(context) as caller:
        found = standing(caller)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    table = Table("service", "code", "version", "standing", "counts since", "then")
    for service, documents in found.items():
        for one in documents:
            table.add_row(service, one["code"], str(one["version"]), one["standing"], one["active_from"] or "always", _then(one))
    Console(soft_wrap=True).print(table)


def show(
    context: typer.Context,
    code: Code,
    version: Annotated[int | None, typer.Option("--version", help="Of the document; the one that counts now, without it.")] = None,
) -> None:
    """Print the text of one version. A text of your own starts from it, without its lines of code and version."""
    with asked(context) as caller:
        place, document = place_of(caller, code)
        typer.echo(caller.get(f"{place}/{code}/versions/{version or document['version']}")["content"], nl=False)


def _then(document: Json) -> str:
    return ", ".join(f"{one['version']} from {one['active_from']}" for one in document["next"])
