"""The commands. Each one is a request, or one for each service; what they may do is decided by the services."""

import os
from pathlib import Path
from typing import Annotated

import typer

from services.pipeline import mending, seeing, telling

pipeline = typer.Typer(
    name="pipeline",
    help="See and mend what moves events between the services. Prints ids, types, reasons and ages; never what an event says. "
    "What is called afterglow here is: .venv/bin/python -m services",
    epilog="Examples:  afterglow pipeline status   |   afterglow pipeline --url https://127.0.0.1:8443 --secrets deploy/secrets status",
    rich_markup_mode=None,
    no_args_is_help=True,
)


def _secrets_of_the_data_folder() -> Path:
    return Path(os.environ.get("AFTERGLOW_FOLDER", "afterglow-data")) / "secrets"


@pipeline.callback()
def connection(
    context: typer.Context,
    secrets: Annotated[
        Path,
        typer.Option(
            help="Its secrets folder, with the operator's key. Without it, that of the data folder (AFTERGLOW_FOLDER, or afterglow-data).",
            envvar="AFTERGLOW_SECRETS",
            default_factory=_secrets_of_the_data_folder,
            show_default=False,
        ),
    ],
    url: Annotated[str, typer.Option(help="Where the installation is reached.", envvar="AFTERGLOW_URL")] = "http://127.0.0.1:8000",
) -> None:
    """Where to go, and as whom."""
    context.obj = (url, secrets)


_COMMANDS = (
    (seeing.status, "status --json"),
    (seeing.parked, "parked --reason poison"),
    (seeing.show, "show followup/17"),
    (mending.redrive, "redrive --key 0d9f... --yes   |   afterglow pipeline redrive --from followup/3 --to followup/9"),
    (mending.discard, 'discard followup/17 --by "A. Person" --reason "told by phone, entered by hand"'),
    (telling.replay, 'replay --consumer followup --topic sessions.events --since 2026-11-23T09:00:00Z --by "A. Person" --reason "parked"'),
    (telling.republish, 'republish --service sessions --since 2026-11-23T09:00:00Z --by "A. Person" --reason "lost log"'),
    (telling.settle_gap, 'settle-gap --consumer followup --topic sessions.events --partition 3 --by "A. Person" --reason "retention"'),
    (telling.audit, "audit --json"),
)
"""Each command with how it is typed."""

for command, example in _COMMANDS:
    pipeline.command(epilog=f"Example:  afterglow pipeline {example}")(command)
