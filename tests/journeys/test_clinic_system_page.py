"""The worked example of a clinic system is run as it is written, on the embedded product as it is started there."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.ports import free_port
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/clinic-system.md").read_text()


@dataclass
class Running:
    origin: str
    folder: Path


@pytest_asyncio.fixture(loop_scope="session")
async def product(tmp_path: Path) -> AsyncIterator[Running]:
    """The product, by the page's own command."""
    (command,) = re.findall(r"^AFTERGLOW_ENV=demo (\S+ -m services) --folder afterglow-trial$", PAGE, flags=re.MULTILINE)
    port, ops_port = free_port(), free_port()
    folder = tmp_path / "data"
    process = await asyncio.create_subprocess_exec(
        *(*command.split(), "--folder", str(folder), "--port", str(port), "--ops-port", str(ops_port)),
        cwd=ROOT, env={**os.environ, "AFTERGLOW_ENV": "demo"}, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with httpx.AsyncClient(trust_env=False) as http:
        await eventually(partial(ready, http, ops_port), within=90)
    yield Running(f"http://127.0.0.1:{port}", folder)
    process.send_signal(signal.SIGTERM)
    _, said = await process.communicate()
    assert process.returncode == 0
    assert f"Afterglow listens on http://127.0.0.1:{port};" in said.decode()


async def ready(http: httpx.AsyncClient, ops_port: int) -> bool:
    try:
        return (await http.get(f"http://127.0.0.1:{ops_port}/readyz")).is_success
    except httpx.TransportError:
        return False


@pytest.mark.slow
async def test_the_page_leads_from_nothing_to_the_follow_up_of_an_infusion(product: Running, tmp_path: Path) -> None:
    script = "set -eu -o pipefail\n" + "\n".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL))
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")  # the page's commands stand where the repository does
    ran = await asyncio.create_subprocess_exec(
        *("bash", "-c", script), cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "ORIGIN": product.origin, "FOLDER": str(product.folder)},
    )  # fmt: skip
    said, complained = await ran.communicate()
    assert ran.returncode == 0, said.decode()[-2000:] + complained.decode()[-2000:]
    plan, queue, *worked, history, in_fhir, amended, struck = [json.loads(line) for line in said.decode().splitlines()[-10:]]
    assert {item["code"] for item in plan["items"] if item["kind"] == "check-in"} == {"C24", "C72"}
    assert [task["kind"] for task in queue["items"]] == ["integration-session"]
    assert [task["status"] for task in worked] == ["accepted", "on-hold", "accepted", "completed"]
    assert [line["action"] for line in history["items"]] == ["created", "claimed", "held", "resumed", "completed"]
    assert (in_fhir["resourceType"], in_fhir["status"]) == ("Task", "completed")
    assert amended["infusion_id"] == struck["infusion_id"] == plan["infusion_id"]
    assert struck["struck"]["reason"] == "Readings of another patient"
