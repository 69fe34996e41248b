"""One service as a process of the operating system, with the supervisor that starts it again when it has died."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Death:
    """A process that ended without having been asked to by its supervisor."""

    at: float
    failpoint: str
    """What had been set in it; where nobody killed it from outside, this did."""
    code: int


class ServiceProcess:
    """``python -m services.<name>``. ``failpoints`` are set one after the other: who was killed at one comes back with the next."""

    def __init__(self, service: str, number: int, environment: Mapping[str, str], log: Path, *, bug: str = "") -> None:
        self.service = service
        self.name = f"{service}-{number}"
        self.port, self.ops_port = free_port(), free_port()
        self.failpoints: list[str] = []
        self.deaths: list[Death] = []
        self.kills = 0
        self._bug = bug
        self._environment = dict(environment)
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._wanted = False

    async def start(self, failpoints: Sequence[str] = ()) -> None:
        """Start, and start again after every death, until ``stop``."""
        self.failpoints = list(failpoints)
        self._wanted = True
        await self._launch()
        self._supervisor = asyncio.create_task(self._supervise())

    async def ready(self) -> None:
        """Wait until it says that it wants requests. Seconds, but many processes may want to start at once."""
        await eventually(partial(self._answers, "/readyz"), within=180, every=0.1)

    async def stop(self) -> tuple[float, int]:
        """SIGTERM, and what became of it: seconds until the end, and the exit code."""
        self._wanted = False
        began = time.monotonic()
        process = self._process
        if process is None:
            return 0.0, 0
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(process.wait(), 40)
        except TimeoutError:
            process.kill()
            code = await process.wait()
        if self._supervisor is not None:
            await self._supervisor
        return time.monotonic() - began, code

    def kill(self) -> bool:
        """SIGKILL, as the kernel does it; says whether there was somebody to kill."""
        return self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Take its time away; its connections stay open."""
        assert self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._signal(signal.SIGCONT)

    @property
    def struck(self) -> int:
        """How often it died at a failpoint."""
        return sum(bool(death.failpoint) and death.code == -signal.SIGKILL for death in self.deaths)

    @property
    def frozen(self) -> bool:
        """Whether it is stopped, by us or at a failpoint."""
        if not self.running:
            return False
        assert self._process is not None
        state = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "T"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def metric(self, name: str) -> float:
        """The sum of a metric's samples, from the process itself."""
        async with httpx.AsyncClient(trust_env=False, timeout=3) as http:
            lines = (await http.get(f"http://127.0.0.1:{self.ops_port}/metrics")).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    def _signal(self, number: signal.Signals) -> bool:
        if not self.running:
            return False
        assert self._process is not None
        self._process.send_signal(number)
        self.kills += number == signal.SIGKILL
        return True

    async def _launch(self) -> None:
        prefix = self.service.upper()
        own = {
            f"{prefix}_HTTP_PORT": str(self.port),
            f"{prefix}_OPS_PORT": str(self.ops_port),
            "AFTERGLOW_FAILPOINTS": self.failpoints[0] if self.failpoints else "",
            "AFTERGLOW_PLANTED_BUG": self._bug,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AFTERGLOW_", f"{prefix}_"))}
        module = ["tests.faults.planted", self.service] if self._bug else [f"services.{self.service}"]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *module, env=inherited | self._environment | own, cwd=ROOT, stdout=log, stderr=log
            )

    async def _supervise(self) -> None:
        while True:
            assert self._process is not None
            code = await self._process.wait()
            if not self._wanted:
                return
            self.deaths.append(Death(time.monotonic(), self.failpoints.pop(0) if self.failpoints else "", code))
            await self._launch()

    async def _answers(self, path: str) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
                return (await http.get(f"http://127.0.0.1:{self.ops_port}{path}")).is_success
        except httpx.TransportError:
            return False
