"""The demo: start the product with fresh secrets, play the day, show it, count it."""

import asyncio
import json
import re
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
from joserfc.jwk import ECKey
from rich.console import Console, RenderableType
from rich.live import Live

from services import secrets
from services.demo import verdict
from services.demo.client import ClinicSystem, Refused
from services.demo.day import Day
from services.demo.patients import Patients
from services.demo.product import Product, ProductFailed
from services.demo.view import Board
from services.embedded import Embedding, prepare
from shared.clock import AcceleratedClock, Phase

OPENS_AT = datetime(2027, 3, 8, 14, 0, tzinfo=UTC)
"""A Monday, 09:00 in New York."""

DAY_RATE, NIGHT_RATE = 1800.0, 9000.0
"""An hour of the clinic day passes in two seconds, an hour of the days after in less than half a second."""

SLOW_NIGHT_RATE = 3600.0
"""Where the product is killed on the way: a restart takes seconds, and check-ins must not expire meanwhile."""

_DAY = timedelta(hours=7)

_START_SECONDS = 4.0
"""Real time that the product may take to start before its clock passes the first simulated moment; longer where preparing took longer."""

_EARLY = timedelta(hours=3)
"""Before the doors open, patients are admitted and visits booked."""

_PREPARATION = timedelta(hours=2)
_LATEST_CHECK_IN = timedelta(hours=100)
"""This long after the last patient left, the last 72-hour check-in has been answered or has expired."""

_CLINIC_SCOPES = (
    "system/Practitioner.cru",
    "system/Patient.cru",
    "system/Consent.cru",
    "system/CarePlan.cru",
    "system/Procedure.cru",
    "system/Observation.cr",
    "system/Task.ru",
    "system/QuestionnaireResponse.r",
    "system/Audit.r",
)
_ALL = (
    "api.after_commit",
    "outbox.before_commit",
    "audit.before_commit",
    "relay.after_select",
    "relay.after_publish",
    "relay.after_mark",
    "inbox.before_commit",
    "inbox.after_commit",
    "timers.before_commit",
    "timers.after_commit",
    "outreach.before_send",
    "outreach.after_send",
)
"""Every failpoint, in the order in which a day comes past them."""

_HIT, _FEW = 3, ("timers.", "outreach.")
"""At which passing of a failpoint the product is killed; at the first of those that a day passes only a few times."""

_METRIC = re.compile(r'^afterglow_(outbox_relayed|inbox_handled)_total\{.*?service="(\w+)".*\} ([0-9.e+]+)$', re.MULTILINE)


class Demo:
    """One run of the demo on a data folder of its own."""

    def __init__(self, folder: Path, console: Console, *, port: int, ops_port: int, failpoints: Sequence[str]) -> None:
        self.console = console
        self.embedding = Embedding(folder, port=port, ops_port=ops_port, env="demo")
        self.board = Board()
        self._failpoints = failpoints

    async def run(self, *, stay: bool) -> int:
        """Play the day; returns 1 when a promise was broken. With ``stay`` the product stays up until Ctrl-C."""
        began = time.monotonic()
        with self.console.status("Making a database and fresh secrets ..."):
            await prepare(self.embedding)
        starting = timedelta(seconds=max(_START_SECONDS, time.monotonic() - began))
        first = Phase(datetime.now(UTC) + starting, OPENS_AT - _EARLY, DAY_RATE)
        self.clock = AcceleratedClock(first).then(OPENS_AT + _DAY, SLOW_NIGHT_RATE if self._failpoints else NIGHT_RATE)
        self.product = Product(self.embedding.folder, self.embedding.port, self.embedding.ops_port, self.clock, failpoints=self._failpoints)
        with self.console.status("Starting the product ..."):
            await self.product.start()
        self.console.print(f"The product is ready on {self.product.origin} after {time.monotonic() - began:.1f} s.")
        try:
            return await self._play(stay=stay)
        finally:
            await self.product.stop()

    async def _play(self, *, stay: bool) -> int:
        system = await self._open_clinic()
        day = Day(system, self.clock, self._next_opening(), self.board)
        try:
            with Live(get_renderable=self._view, console=self.console, refresh_per_second=4, transient=True):
                await self._day(day)
            lines = await verdict.count(self.embedding, day)
            self.console.print(self._view())
            self.console.print(verdict.table(lines))
            for place in self.product.killed_at:
                self.console.print(f"killed at {place}, started again")
            for place in self.product.failpoints:
                self.console.print(f"never reached: {place}", style="bold red")
            if stay:
                await self._stay(day)
        finally:
            await system.close()
        return 1 if self.product.failpoints or any(line.broken for line in lines) else 0

    def _next_opening(self) -> datetime:
        """The next morning for which there is time to prepare; a slow start costs a simulated day."""
        opens_at = OPENS_AT
        while opens_at - _PREPARATION < self.clock.now():
            opens_at += timedelta(days=1)
        return opens_at

    async def _day(self, day: Day) -> None:
        watching = asyncio.create_task(self._watch(day))
        await day.prepare()
        patients = Patients(day, self.embedding.messages)
        reading = asyncio.create_task(patients.read_mail())
        try:
            await day.play()
            await day.until(self.clock.now() + _LATEST_CHECK_IN)
            await patients.settle()
            await self._until_quiet()
        finally:
            for task in (reading, watching):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def _view(self) -> RenderableType:
        return self.board.render(self.clock.now(), self.console.width)

    async def _open_clinic(self) -> ClinicSystem:
        """As the operator: register a clinic and its system's key."""
        operator_key = ECKey.import_key(json.loads(secrets.read(self.embedding.secrets, "operator-client-key.json")))
        operator = ClinicSystem(self.product.origin, secrets.OPERATOR_CLIENT, operator_key, secrets.OPERATOR_SCOPES)
        clinic = await operator.post(
            "/intake/v1/clinics",
            {"name": "Harbor Clinic (demo)", "time_zone": "America/New_York", "phone": "+12025550143", "sender_name": "Harbor Care"},
        )
        key = ECKey.generate_key("P-384", parameters={"alg": "ES384", "use": "sig", "kid": "clinic-1"}, private=True)
        client = await operator.post(
            "/intake/v1/clients",
            {
                "clinic_id": clinic["clinic_id"],
                "name": "Demo clinic system",
                "jwks": {"keys": [key.as_dict(private=False)]},
                "scopes": list(_CLINIC_SCOPES),
                "may_act_for_practitioners": True,
            },
        )
        await operator.close()
        return ClinicSystem(self.product.origin, client["client_id"], key, _CLINIC_SCOPES)

    async def _watch(self, day: Day) -> None:
        """Keep the board's counts fresh."""
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
            while True:
                self.board.restarts = self.product.restarts
                with suppress(httpx.HTTPError):
                    text = (await http.get(f"http://127.0.0.1:{self.embedding.ops_port}/metrics")).text
                    self._count_events(text)
                if day.staff.coordinator and day.people:
                    counts = await day.system.get("/followup/v1/tasks/counts", acting=UUID(day.staff.coordinator))
                    self.board.queue = counts["counts"]
                await asyncio.sleep(0.5)

    def _count_events(self, text: str) -> None:
        self.board.events.clear()
        for metric, service, value in _METRIC.findall(text):
            name = f"{service}-{'relayed' if metric == 'outbox_relayed' else 'handled'}"
            self.board.events[name] += int(float(value))

    async def _until_quiet(self) -> None:
        """Wait until nothing is under way between the services."""
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
            for _ in range(120):
                with suppress(httpx.HTTPError):
                    text = (await http.get(f"http://127.0.0.1:{self.embedding.ops_port}/metrics")).text
                    if not re.search(r"^afterglow_outbox_pending\{[^}]*\} [1-9]", text, re.MULTILINE):
                        return
                await asyncio.sleep(0.5)

    async def _stay(self, day: Day) -> None:
        folder = self.embedding.folder
        self.console.print(
            f"The product stays up on {self.product.origin}. Ctrl-C ends it.\n"
            f"  health and metrics   http://127.0.0.1:{self.embedding.ops_port}/readyz  /metrics\n"
            f"  API descriptions     {self.product.origin}/intake/openapi.json  /sessions/...  /followup/...\n"
            f"  messages to patients {self.embedding.messages} (open a link in a browser; birth dates: {day.people[0].birth_date} ...)\n"
            f"  log                  {folder / 'product.log'}"
        )
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


def run(*, once: bool, failpoint: str, port: int, ops_port: int, folder: Path | None) -> int:
    """The demo as a command; returns the exit code."""
    console = Console()
    places = _ALL if failpoint == "all" else [failpoint]
    failpoints = [place if "=" in place else f"{place}=kill@{1 if place.startswith(_FEW) else _HIT}" for place in places if place]
    with tempfile.TemporaryDirectory(prefix="afterglow-demo-") as fresh:
        demo = Demo(folder or Path(fresh), console, port=port, ops_port=ops_port, failpoints=failpoints)
        try:
            return asyncio.run(demo.run(stay=not once))
        except KeyboardInterrupt:
            return 0
        except (Refused, ProductFailed, TimeoutError) as failed:
            console.print(f"The demo could not go on: {failed}", style="bold red")
            return 1
