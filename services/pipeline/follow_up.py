"""Commands about what follows an infusion: whether what exists is what the facts want."""

from collections import Counter

import typer
from rich.console import Console

from services.pipeline import view
from services.pipeline.asking import AsJson, answer, asked, at, parts
from services.pipeline.cli import connection
from services.pipeline.client import Json

follow_up = typer.Typer(
    name="follow-up",
    help="See what follows infusions, beside what should. Prints ids and codes; never what anybody answered. "
    "What is called afterglow here is: .venv/bin/python -m services",
    epilog="Example:  afterglow follow-up --url https://127.0.0.1:8443 --secrets deploy/secrets compare",
    rich_markup_mode=None,
    no_args_is_help=True,
    callback=connection,
)


def compare(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what a comparison of facts with what exists would change, in every clinic. Nothing is changed by it.

    There should be nothing: each event has been kept up with. After an upgrade it shows what the new release would do otherwise.
    """
    found: list[Json] = []
    patients = 0
    with asked(context) as operator, Console(stderr=True).status("Comparing") as progress:
        for part in parts(lambda further: operator.get(f"{at('followup')}/differences", **further)):
            patients += part["patients"]
            found += part["items"]
            progress.update(f"Comparing: {patients} patients, {len(found)} differences")
    answer({"patients": patients, "items": found}, as_json, lambda console: view.compared(console, patients, found, _counted(found)))


def _counted(found: list[Json]) -> Counter[tuple[str, str]]:
    return Counter((one["step"], one["code"]) for one in found)


follow_up.command(epilog="Example:  afterglow follow-up compare   |   afterglow follow-up compare --json")(compare)
