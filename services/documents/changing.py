"""Commands that check, save, sign and put into force."""

from pathlib import Path
from typing import Annotated

import typer

from services.documents.asking import By, Code, From, asked, place_of
from services.pipeline.client import Json

TextFile = Annotated[Path, typer.Argument(help="The text, in YAML or JSON.", exists=True, dir_okay=False, readable=True)]
Version = Annotated[int, typer.Argument(help="As listed.")]


def check(context: typer.Context, code: Code, file: TextFile, by: By) -> None:
    """Say line by line what is wrong with a text. Nothing is saved. Exit code 1 when something is."""
    saved = _sent(context, code, file, by, dry_run=True)
    typer.echo(f"{file} is a document of this kind. It would be version {saved['version']}.")


def add(context: typer.Context, code: Code, file: TextFile, by: By) -> None:
    """Save a text as a new version. It counts for nothing until a medical director who is somebody else has signed it."""
    saved = _sent(context, code, file, by, dry_run=False)
    typer.echo(f"Saved as version {saved['version']}. It counts for nothing yet.")
    typer.echo(f"For a medical director:  afterglow documents sign {code} {saved['version']} --by <their id>")


def sign(context: typer.Context, code: Code, version: Version, by: By, since: From = None) -> None:
    """Sign a version that somebody else has written, or a default, as a medical director, and say from when it counts."""
    _step(context, code, version, by, since, "sign-off")


def activate(context: typer.Context, code: Code, version: Version, by: By, since: From = None) -> None:
    """Say anew from when a signed version counts: to go back to it, or to put off another that has the same moment."""
    _step(context, code, version, by, since, "activate")


def _sent(context: typer.Context, code: str, file: Path, by: str, *, dry_run: bool) -> Json:
    with asked(context, by) as caller:
        place, _ = place_of(caller, code)
        return caller.post(place, {"code": code, "content": file.read_text(encoding="utf-8"), "dry_run": dry_run})


def _step(context: typer.Context, code: str, version: int, by: str, since: str | None, step: str) -> None:
    with asked(context, by) as caller:
        place, _ = place_of(caller, code)
        done = caller.post(f"{place}/{code}/versions/{version}/{step}", {"active_from": since} if since else {})
    typer.echo(f"Version {version} of {code} is signed and counts from {done['activations'][-1]['active_from']}.")
