"""The embedded mode, ``python -m services``: how long until it answers, what it holds in memory, what it does when nobody asks."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import httpx

from services.embedded import Embedding, prepare
from tests.benchmarks.processes import family, memory_mib, processor_seconds
from tests.faults.processes import ROOT
from tests.support.ports import free_port
from tests.support.waiting import eventually

_IDLE_SECONDS = 60.0
"""Processor time is told in hundredths of a second, and the audit looks once a minute."""


async def embedded(idle_seconds: float = _IDLE_SECONDS) -> dict[str, float]:
    """A start on a folder that has been started before. Memory counts pages that processes share once."""
    with tempfile.TemporaryDirectory(prefix="afterglow-bench-") as name:
        folder = Path(name)
        await prepare(Embedding(folder, env="test"))
        ops_port = free_port()
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services", "--folder", name, "--port", str(free_port()), "--ops-port", str(ops_port),
            env=os.environ | {"AFTERGLOW_ENV": "test"}, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await eventually(partial(_ready, ops_port), within=120)
            seconds = time.monotonic() - began
            server = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
            pids = {"services": [process.pid], "postgres": family(server)}
            await asyncio.sleep(2)
            before = {part: processor_seconds(own) for part, own in pids.items()}
            await asyncio.sleep(idle_seconds)
            idle = {f"idle_cpu_{part}": (processor_seconds(own) - before[part]) / idle_seconds for part, own in pids.items()}
            memory = {f"memory_mib_{part}": memory_mib(own) for part, own in pids.items()}
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()
    return {"seconds_to_ready": seconds, **memory, **idle}


async def _ready(port: int) -> bool:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
            return (await http.get(f"http://127.0.0.1:{port}/readyz")).is_success
    except httpx.TransportError:
        return False
