"""The product as one process on a data folder: started, watched, killed at a failpoint if asked for, and started again."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import asyncpg
import httpx

from services.demo.clock import DayClock
from services.demo.ledger import Line
from services.demo.product import Pace, ProductFailed
from services.embedded import Embedding, ports, prepare, private_postgres
from shared.failpoints import IN_ORDER, parse
from shared.listeners import PortTaken
from shared.private_postgres import PrivatePostgres
from shared.settings import UnsafeSettings

DAY_RATE, NIGHT_RATE = 1800.0, 9000.0
"""An hour of the clinic day passes in two seconds, an hour of the days after in less than half a second."""

SLOW_NIGHT_RATE = 3600.0
"""Where the product is killed on the way: a machine that is busy with it must not let check-ins expire."""

_OF_A_START = 1.5
"""For so long the clock stands still where the product was killed, measured in its first start: what is busy starts more slowly."""

_START_SECONDS = 4.0
"""Longer where preparing took longer."""

_READY_SECONDS = 60.0
_LAST_LINES = 5

_HIT, _FEW = 3, ("timers.", "outreach.")
"""At which passing of a failpoint the product is killed; at the first of those that a day passes only a few times."""


def failpoints(wanted: str) -> list[str]:
    """Settings of the failpoint of this name, or of all of them, one after the other. Raises ValueError for a name that is none."""
    places = IN_ORDER if wanted == "all" else [wanted]
    settings = [place if "=" in place else f"{place}=kill@{1 if place.startswith(_FEW) else _HIT}" for place in places if place]
    parse(",".join(settings))
    return settings


class EmbeddedProduct:
    """``python -m services`` on a data folder, as a supervisor sees it."""

    been_until: datetime | None = None
    trust = None

    def __init__(self, embedding: Embedding, failpoints: Sequence[str] = ()) -> None:
        """``failpoints`` are set one after the other: when the product was killed at one, it is started again with the next."""
        self._embedding = embedding
        self._killed_at: list[str] = []
        self._broke: list[str] = []
        self._started_seconds = _START_SECONDS
        self._failpoints = list(failpoints)
        self._prepared_seconds = 0.0
        self._killed_on_the_way = bool(failpoints)
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False
        self._clock: DayClock | None = None
        self._postgres: PrivatePostgres | None = None

    @property
    def pace(self) -> Pace:
        night = SLOW_NIGHT_RATE if self._killed_on_the_way else NIGHT_RATE
        start = max(_START_SECONDS, self._prepared_seconds)
        return Pace(DAY_RATE, night, start_seconds=start, look_seconds=0.5, patience_seconds=60)

    @property
    def origin(self) -> str:
        return self._embedding.origin

    @property
    def secrets(self) -> Path:
        return self._embedding.secrets

    @property
    def messages(self) -> Path:
        return self._embedding.messages

    @property
    def restarts(self) -> int:
        return len(self._killed_at) + len(self._broke)

    async def prepare(self) -> None:
        # Whoever listens there would be taken for the product, and the day be played with a stranger.
        try:
            with ports(self._embedding):
                pass
        except PortTaken as taken:
            raise ProductFailed(f"{taken}; --port and --ops-port choose others, with make: PORT=8001 OPS_PORT=9001") from taken
        began = time.monotonic()
        try:
            await prepare(self._embedding)
        except UnsafeSettings as refused:
            raise ProductFailed(str(refused)) from refused
        self._prepared_seconds = time.monotonic() - began

    async def start(self, clock: DayClock) -> None:
        self._clock = clock
        began = time.monotonic()
        await self._launch()
        await self._until_ready()
        self._started_seconds = time.monotonic() - began
        self._watching = asyncio.create_task(self._restart_when_killed())
        # It outlives the process that is killed; this finds the one that is running.
        self._postgres = private_postgres(self._embedding)
        await self._postgres.start()

    async def stop(self) -> None:
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 40)

    async def slow_down(self, clock: DayClock) -> None:
        """A process has its clock from its start, so it is started once more. Raises ProductFailed."""
        clock.go_at_real_pace()
        await self.stop()
        self._stopping, self._clock, self._failpoints = False, clock, []
        await self._launch()
        await self._until_ready()
        self._watching = asyncio.create_task(self._restart_when_killed())

    def passing(self, clock: DayClock) -> str:
        return "and time passes as it does here"

    def left(self, clock: DayClock) -> list[str]:
        """Nothing: its process ends with the demo."""
        return []

    async def at_midday(self, clock: DayClock) -> None:
        """Nothing: it is killed where its failpoints say."""

    async def ask(self, service: str, query: str) -> str:
        if self._postgres is None:
            raise ProductFailed("not started")
        try:
            connection = await self._postgres.admin(service)
        except (OSError, asyncpg.PostgresError) as error:
            raise ProductFailed(f"the database of {service} does not answer") from error
        try:
            return str(await connection.fetchval(query))
        finally:
            await connection.close()

    async def lines(self) -> list[Line]:
        return []

    def story(self) -> list[str]:
        return [f"killed at {place}, started again" for place in self._killed_at]

    def missed(self) -> list[str]:
        return [*self._broke, *(f"never reached: {place}" for place in self._failpoints)]

    def whereabouts(self) -> list[tuple[str, str]]:
        return [
            ("health and metrics", f"http://127.0.0.1:{self._embedding.ops_port}/readyz  /metrics"),
            ("log", str(self.log)),
        ]

    @property
    def log(self) -> Path:
        """What the product says."""
        return self._embedding.folder / "product.log"

    def _last_words(self) -> str:
        said = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:] if self.log.exists() else []
        return "\n  ".join(["the last that it said:", *said]) if said else "it said nothing"

    async def _launch(self) -> None:
        embedding = self._embedding
        environment = os.environ | {
            "AFTERGLOW_ENV": "demo",
            "AFTERGLOW_CLOCK": str(self._clock),
            "AFTERGLOW_PUBLIC_URL": self.origin,
            "AFTERGLOW_FAILPOINTS": self._failpoints[0] if self._failpoints else "",
        }
        arguments = ("-m", "services", "--folder", str(embedding.folder), "--port", str(embedding.port))
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, "--ops-port", str(embedding.ops_port), env=environment, stdout=log, stderr=log
            )

    async def _until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _READY_SECONDS
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
            while time.monotonic() < deadline:
                if self._process.returncode is not None:
                    raise ProductFailed(f"the product ended with code {self._process.returncode}; {self._last_words()}")
                try:
                    answer = await http.get(f"http://127.0.0.1:{self._embedding.ops_port}/readyz")
                    if answer.is_success and answer.json().get("process") == self._process.pid:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        raise ProductFailed(f"not ready after {_READY_SECONDS:.0f} s; {self._last_words()}")

    async def _restart_when_killed(self) -> None:
        """What a supervisor does: start it again. A failpoint that has acted is not set again; any other end is a broken promise."""
        while True:
            assert self._process is not None
            code = await self._process.wait()
            if self._stopping:
                return
            if code == -signal.SIGKILL and self._failpoints:
                self._killed_at.append(self._failpoints.pop(0))
            else:
                self._broke.append(f"the product ended by itself with code {code}; {self._last_words()}")
            assert self._clock is not None
            self._clock.stand_still(self._started_seconds * _OF_A_START)
            await self._launch()
