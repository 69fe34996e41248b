"""The API's description says what the API does; schemathesis tries to show the contrary."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from socket import socket
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.shared.web.client import CLINIC, NURSE, OPERATOR, SERVICE, Client, token

HERE = Path(__file__).parent


async def described(client: Client) -> dict[str, Any]:
    document: dict[str, Any] = (await client.http.get("/tiny/openapi.json")).json()
    return document


async def test_the_description_is_valid(client: Client) -> None:
    document = await described(client)
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


async def test_every_operation_says_who_may_call_it(client: Client) -> None:
    operations = {
        operation["operationId"]: operation for path in (await described(client))["paths"].values() for operation in path.values()
    }
    assert operations["write_note"]["x-access"] == {
        "kind": "clinic-system",
        "scope": "system/Note.c",
        "roles": ["nurse", "prescriber"],
        "person": "required",
        "phi": "write",
    }
    assert operations["write_note"]["security"] == [{"clientCredentials": ["system/Note.c"]}]
    assert operations["hello"]["x-access"] == {"kind": "public", "reason": "says hello to everybody", "phi": "none"}
    assert "security" not in operations["hello"]
    assert all("x-access" in operation for operation in operations.values())


@pytest.mark.parametrize(
    ("operation_id", "headers"),
    [
        ("write_note", {"Idempotency-Key": True, "Afterglow-Practitioner": True}),
        ("sign_note", {"Idempotency-Key": True, "If-Match": False, "Afterglow-Practitioner": False}),
        ("rename_note", {"If-Match": True, "Afterglow-Practitioner": True}),
        ("read_note", {"Afterglow-Practitioner": False}),
        ("list_facts", {"Afterglow-Clinic": True}),
        ("open_clinic", {"Idempotency-Key": True}),
        ("look_up_titles", {"Afterglow-Clinic": True}),
        ("hello", {}),
    ],
)
async def test_the_headers_are_described(client: Client, operation_id: str, headers: dict[str, bool]) -> None:
    operations = [operation for path in (await described(client))["paths"].values() for operation in path.values()]
    (operation,) = [one for one in operations if one["operationId"] == operation_id]
    found = {one["name"]: one["required"] for one in operation.get("parameters", ()) if one["in"] == "header"}
    assert found == headers


async def test_refusals_are_described_as_problems(client: Client) -> None:
    document = await described(client)
    refusals = document["paths"]["/tiny/v1/notes/{note_id}"]["patch"]["responses"]
    assert set(refusals) == {"200", "400", "401", "403", "404", "408", "409", "412", "413", "414", "415", "422", "428", "503"}
    assert refusals["422"]["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_every_scope_is_named_in_the_security_scheme(client: Client) -> None:
    scheme = (await described(client))["components"]["securitySchemes"]["clientCredentials"]
    flow = scheme["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == "http://127.0.0.1:8000/intake/oauth/token"
    assert set(flow["scopes"]) == {"system/Note.c", "system/Note.r", "system/Note.u", "system/Organization.c", "service/Note.r"}


class Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@pytest_asyncio.fixture(loop_scope="session")
async def address(client: Client) -> AsyncIterator[str]:
    """The app behind a real server on loopback."""
    config = uvicorn.Config(client.app, host="127.0.0.1", port=0, lifespan="off", log_config=None, http="httptools")
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    await server.listening.wait()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("caller", "paths"),
    [({}, "^/tiny/v1/(notes|counts|hello)"), (OPERATOR, "^/tiny/v1/clinics"), (SERVICE, "^/tiny/v1/(facts|titles)")],
    ids=["clinic-system", "operator", "service"],
)
async def test_schemathesis_finds_nothing(address: str, caller: dict[str, object], paths: str, tmp_path: Path) -> None:
    arguments = ["--include-path-regex", paths, "--max-examples", "10", "--phases", "examples,coverage,fuzzing,stateful"]
    credential = f"Authorization: Bearer {token(**caller, exp=int(time.time()) + 600)}"
    program = str(Path(sys.executable).with_name("st"))
    run = await asyncio.create_subprocess_exec(
        *(program, "--config-file", str(HERE / "schemathesis.toml"), "run", f"{address}/tiny/openapi.json", "-H", credential, *arguments),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[2]), "TEST_PRACTITIONER": str(NURSE), "TEST_CLINIC": str(CLINIC)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await run.communicate()
    assert run.returncode == 0, said.decode()
