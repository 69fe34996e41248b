"""The commands. Each one is a request or two; what a text must be, and who may sign it, is decided by the services."""

from pathlib import Path
from typing import Annotated

import typer

from services.documents import changing, reading

documents = typer.Typer(
    name="documents",
    help="See, check, write and sign a clinic's clinical documents: limits, rules and texts, as a registered system of the clinic. "
    "What is called afterglow here is: .venv/bin/python -m services",
    epilog="Examples:  afterglow documents list   |   afterglow documents show vital-signs > mine.yaml   |   "
    "afterglow documents check vital-signs mine.yaml --by 0d9f...",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@documents.callback()
def connection(
    context: typer.Context,
    client: Annotated[str, typer.Option("--client", help="Id of the clinic's registered system.", envvar="AFTERGLOW_CLIENT")],
    key: Annotated[Path, typer.Option("--key", help="File with its private key, a JSON Web Key.", envvar="AFTERGLOW_CLIENT_KEY")],
    url: Annotated[str, typer.Option(help="Where the installation is reached.", envvar="AFTERGLOW_URL")] = "http://127.0.0.1:8000",
) -> None:
    """Where to go, and as whom."""
    context.obj = (url, client, key)


_COMMANDS = (
    (reading.list_documents, "list", "list --json"),
    (reading.show, "show", "show vital-signs   |   afterglow documents show vital-signs --version 1001"),
    (changing.check, "check", "check vital-signs mine.yaml --by 0d9f..."),
    (changing.add, "add", "add vital-signs mine.yaml --by 0d9f..."),
    (changing.sign, "sign", "sign vital-signs 1001 --by 7c21...   |   ... --from 2027-01-01T00:00:00-05:00"),
    (changing.activate, "activate", "activate vital-signs 1001 --by 7c21...   |   ... --from 2027-01-01T00:00:00-05:00"),
)
"""Each command with its name and how it is typed."""

for command, name, example in _COMMANDS:
    documents.command(name, epilog=f"Example:  afterglow documents {example}")(command)
