"""The gateway's file leads every address to the service that has it, as the one process does."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from services.embedded import Origin

ROOT = Path(__file__).parents[2]
CADDYFILE = (ROOT / "deploy/gateway/Caddyfile").read_text()
PAGES = {"/c": "followup", "/c/link": "followup", "/c/form/handle": "followup", "/queue": "followup", "/queue/enter/link": "followup"}
NOWHERE = ("/fhir/Patient/1", "/fhir/metadata", "/metrics", "/")


def addresses() -> dict[str, str]:
    """Every address that is described, and those of pages, with its service."""
    found = dict(PAGES)
    for file in (ROOT / "docs/api").glob("*.openapi.json"):
        found |= dict.fromkeys(json.loads(file.read_text())["paths"], file.name.partition(".")[0])
    return found


def routes() -> Iterator[tuple[list[str], str]]:
    """The patterns of the file in their order, with the service behind each."""
    named = dict(re.findall(r"^\t(@\w+) path (.+)$", CADDYFILE, flags=re.MULTILINE))
    for matcher, service in re.findall(
        r"^\thandle (\S+) \{\n\t\treverse_proxy \{\n\t\t\tdynamic a (\w+) 8000", CADDYFILE, flags=re.MULTILINE
    ):
        yield named.get(matcher, matcher).split(), service


def behind(path: str) -> str | None:
    return next((service for patterns, service in routes() if any(fnmatch(path, pattern) for pattern in patterns)), None)


def test_the_gateway_leads_every_address_to_its_service() -> None:
    assert {path: behind(path) for path in addresses()} == addresses()
    assert {path: behind(path) for path in NOWHERE} == dict.fromkeys(NOWHERE)


@pytest.mark.parametrize(("path", "service"), addresses().items())
async def test_the_one_process_leads_every_address_to_the_same_service(path: str, service: str) -> None:
    asked: list[str] = []

    def app(name: str):  # type: ignore[no-untyped-def]  # an ASGI application
        async def application(_scope: object, _receive: object, _send: object) -> None:
            asked.append(name)

        return application

    origin = Origin({name: app(name) for name in ("intake", "sessions", "followup")})
    await origin({"type": "http", "path": path}, None, None)  # type: ignore[arg-type]  # nothing is sent
    assert asked == [service]
