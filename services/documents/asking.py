"""What all commands share: who asks, which service has a document, and how refusals are shown."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from services.pipeline.client import Caller, Failed, Json, private_key, trust

By = Annotated[str, typer.Option("--by", help="Id of the practitioner who does it.")]
From = Annotated[str | None, typer.Option("--from", help="From when it counts: 2027-01-01T00:00:00-05:00. Now, without it.")]
Code = Annotated[str, typer.Argument(help="Of the document, as listed.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, for machines.")]

SERVICES = ("intake", "sessions", "followup")
"""Those that have clinical documents."""
_SCOPES = ("system/Document.cru",)
_ADVICE: Mapping[str, str] = {
    "scope": "An operator gives the client this scope: PATCH /intake/v1/clients/{client_id}",
    "key": "Name the client and the key that it is registered with: --client, --key",
    "document-invalid": "Mend these lines and check again. The version in force stays.",
    "not-found": "See what there is: afterglow documents list",
    "signed-by-writer": "Ask another medical director of the clinic to sign it.",
    "not-signed": "Sign it first: afterglow documents sign",
    "already-signed": "To say from when it counts: afterglow documents activate",
    "role-missing": "Name somebody with this role: --by",
}


@contextmanager
def asked(context: typer.Context, by: str | None = None) -> Iterator[Caller]:
    """The clinic's system, acting for somebody; what it is refused ends the command with what to do next."""
    url, client, key = context.obj
    try:
        named = {"Afterglow-Practitioner": by} if by else {}
        where = "Name the file with the client's private key: --key"
        caller = Caller(url, client, private_key(key, where), _SCOPES, verify=trust(url, key.parent), named=named, advice=_ADVICE)
        try:
            yield caller
        finally:
            caller.close()
    except Failed as failed:
        Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(f"{failed}\n{failed.advice}")
        raise typer.Exit(1) from None


def standing(caller: Caller) -> dict[str, list[Json]]:
    """What counts now, by service."""
    return {service: list(caller.items(f"/{service}/v1/documents")) for service in SERVICES}


def place_of(caller: Caller, code: str) -> tuple[str, Json]:
    """The address of the documents of the service that has this one, and how it stands. Raises Failed."""
    for service, found in standing(caller).items():
        for document in found:
            if document["code"] == code:
                return f"/{service}/v1/documents", document
    raise Failed("There is no document with this code.", _ADVICE["not-found"], status=404, code="not-found")
