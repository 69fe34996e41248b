"""The product as a process of its own: started, watched, killed at a failpoint if asked for, and started again."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from shared.clock import AcceleratedClock

_READY_SECONDS = 60.0


class ProductFailed(Exception):
    """The product ended by itself or did not become ready."""


class Product:
    """``python -m services`` on a data folder, as a supervisor sees it."""

    def __init__(self, folder: Path, port: int, ops_port: int, clock: AcceleratedClock, *, failpoints: Sequence[str] = ()) -> None:
        """``failpoints`` are set one after the other: when the product was killed at one, it is started again with the next."""
        self.folder = folder
        self.origin = f"http://127.0.0.1:{port}"
        self.killed_at: list[str] = []
        self.failpoints = list(failpoints)
        self.ready_after_seconds = 0.0
        self._ports = (port, ops_port)
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Start and wait until it is ready. Raises ProductFailed."""
        began = time.monotonic()
        await self._launch()
        await self._until_ready()
        self.ready_after_seconds = time.monotonic() - began
        self._watching = asyncio.create_task(self._restart_when_killed())

    async def stop(self) -> None:
        """Stop it the polite way and wait for its end."""
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 40)

    @property
    def pid(self) -> int:
        """Process id of the running product."""
        if self._process is None:
            raise ProductFailed("not started")
        return self._process.pid

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return len(self.killed_at)

    async def _launch(self) -> None:
        port, ops_port = self._ports
        failpoint = self.failpoints[0] if self.failpoints else ""
        environment = os.environ | {
            "AFTERGLOW_ENV": "demo",
            "AFTERGLOW_CLOCK": str(self._clock),
            "AFTERGLOW_PUBLIC_URL": self.origin,
            "AFTERGLOW_FAILPOINTS": failpoint,
        }
        arguments = ("-m", "services", "--folder", str(self.folder), "--port", str(port), "--ops-port", str(ops_port))
        with (self.folder / "product.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment, stdout=log, stderr=log)

    async def _until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _READY_SECONDS
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
            while time.monotonic() < deadline:
                if self._process.returncode is not None:
                    raise ProductFailed(f"the product ended with code {self._process.returncode}; see {self.folder / 'product.log'}")
                try:
                    if (await http.get(f"http://127.0.0.1:{self._ports[1]}/readyz")).is_success:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        raise ProductFailed(f"not ready after {_READY_SECONDS:.0f} s; see {self.folder / 'product.log'}")

    async def _restart_when_killed(self) -> None:
        """What a supervisor does: start it again. A failpoint that has acted is not set again."""
        while not self._stopping:
            assert self._process is not None
            await self._process.wait()
            if not self._stopping:
                self.killed_at.append(self.failpoints.pop(0) if self.failpoints else f"exit {self._process.returncode}")
                await self._launch()
