"""Schemathesis against the running product: every operation as docs/api describes it, by a caller who may call it. All checks."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from services import secrets
from shared.events.intake import Role
from tests.support.house import CLINIC_SCOPES, Clinic, House
from tests.support.inventory import inventory

Json = dict[str, Any]  # Any: a decoded JSON document
ROOT = Path(__file__).parents[2]
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "300")
REFERENCES = {"responsible_clinician": "prescriber", "therapist": "therapist", "coordinator": "coordinator", "owner": "coordinator"}


def callers() -> list[tuple[str, str]]:
    """Every service with every kind of caller that one of its operations is for; together they are all operations."""
    documents = {path.name.partition(".")[0]: json.loads(path.read_text()) for path in (ROOT / "docs/api").glob("*.openapi.json")}
    return sorted(
        {
            (service, operation["x-access"]["kind"])
            for service, document in documents.items()
            for path in document["paths"].values()
            for operation in path.values()
        }
    )


@pytest.mark.fuzz
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("service", "kind"), callers())
async def test_every_answer_is_as_described(house: House, service: str, kind: str, tmp_path: Path) -> None:
    world = tmp_path / "world.json"
    world.write_text(json.dumps(await world_for(house, kind)))
    program = str(Path(sys.executable).with_name("st"))
    run = await asyncio.create_subprocess_exec(
        program,
        *("--config-file", str(Path(__file__).with_name("schemathesis.toml")), "run", str(ROOT / f"docs/api/{service}.openapi.json")),
        *("--url", house.origin, "--include-by", f'/x-access/kind == "{kind}"', "--max-examples", EXAMPLES),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FUZZ_WORLD": str(world)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await run.communicate()
    assert run.returncode == 0, said.decode()


async def world_for(house: House, kind: str) -> Json:
    """A caller of this kind, and the ids of what there is to ask for."""
    clinic = await house.clinic()
    caller = client_of(house, clinic, kind)
    everybody = await clinic.hire_one("everybody", *Role)
    ids = await inventory(clinic)
    ids["client_id"] = [clinic.client_id]
    ids |= {f"{what}_id": [str(clinic.staff[role])] for what, role in REFERENCES.items()}
    at_a_clinic = {"practitioner": str(everybody), "clinic": clinic.clinic_id}
    return {"origin": house.origin, **caller, **at_a_clinic, "ids": ids}


def client_of(house: House, clinic: Clinic, kind: str) -> Json:
    """Who signs in, with which key and for which scopes."""
    if kind == "public":
        return {"client_id": None, "key": None, "scope": ""}
    if kind == "clinic-system":
        return {"client_id": clinic.client_id, "key": clinic.key.as_dict(private=True), "scope": " ".join(CLINIC_SCOPES)}
    name, scopes = ("operator", secrets.OPERATOR_SCOPES) if kind == "operator" else ("followup", secrets.SERVICE_CLIENTS["followup"])
    key = json.loads(secrets.read(house.folder / "secrets", f"{name}-client-key.json"))
    return {"client_id": name, "key": key, "scope": " ".join(scopes)}
