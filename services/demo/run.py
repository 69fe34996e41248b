"""The demo: start the product on a clock of its own, play the day, show it, count it."""

import asyncio
import json
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console, RenderableType
from rich.live import Live

from services import secrets
from services.demo import verdict
from services.demo.client import Refused
from services.demo.clinic import Clinic, open_clinic
from services.demo.clock import DayClock
from services.demo.compose_product import ComposeProduct
from services.demo.day import Day
from services.demo.embedded_product import EmbeddedProduct, failpoints
from services.demo.ledger import Ledger, Line
from services.demo.patients import Patients
from services.demo.product import Product, ProductFailed
from services.demo.view import Board
from services.embedded import Embedding
from shared.clock import AcceleratedClock, Phase
from shared.security.staff_links import StaffLink, StaffLinks

OPENS_AT = datetime(2027, 3, 8, 14, 0, tzinfo=UTC)
"""A Monday, 09:00 in New York."""

_DAY = timedelta(hours=7)

_EARLY = timedelta(hours=3)
"""Before the doors open, patients are admitted and visits booked."""

_PREPARATION = timedelta(hours=2)
_MIDDAY = timedelta(minutes=95)
"""From opening until most of the visits are going on."""

_LATEST_CHECK_IN = timedelta(hours=100)
"""This long after the last patient left, the last 72-hour check-in has been answered or has expired."""

_LEFT_UP = timedelta(days=60)
"""After these, time passes as it does: a product that is left up must not run through the centuries."""

_QUIET_LOOKS = 120

BROKEN = 1
"""The exit code of a day that broke a promise or could not go on."""


class Demo:
    """One day on a product."""

    def __init__(self, product: Product, console: Console) -> None:
        self.product = product
        self.console = console
        self.board = Board()

    async def run(self, *, stay: bool) -> int:
        """Play the day; returns 1 when a promise was broken. With ``stay`` the product stays up until Ctrl-C, which then is no failure."""
        began = time.monotonic()
        with self.console.status("Preparing the product ..."):
            await self.product.prepare()
        self.clock = DayClock(a_clock_for(self.product))
        try:
            with self.console.status("Starting the product ..."):
                await self.product.start(self.clock)
            self.console.print(f"The product is ready on {self.product.origin} after {time.monotonic() - began:.1f} s.")
            return await self._play(stay=stay)
        finally:
            await self.product.stop()

    async def _play(self, *, stay: bool) -> int:
        clinic = await open_clinic(self.product)
        try:
            day = Day(clinic, self.clock, self._next_opening(), self.board)
            code = await self._counted(day, Ledger(self.product.ask, clinic.clinic_id))
            if stay:
                with suppress(asyncio.CancelledError):
                    await self._stay(clinic, day)
            for told in self.product.left(self.clock):
                self.console.print(told, soft_wrap=True)
        finally:
            await clinic.system.close()
        return code

    async def _counted(self, day: Day, ledger: Ledger) -> int:
        """The day up to its closing table; returns what the table says as an exit code."""
        with Live(get_renderable=self._view, console=self.console, refresh_per_second=4, transient=True):
            lines = await self._day(day, ledger)
        missed = self._tell(lines)
        return BROKEN if missed or any(line.broken for line in lines) else 0

    def _next_opening(self) -> datetime:
        """The next morning for which there is time to prepare; a slow start costs a simulated day."""
        return _morning_after(self.clock.now() + _PREPARATION)

    async def _day(self, day: Day, ledger: Ledger) -> list[Line]:
        """From the first booking until nothing is under way any more; counted then."""
        await ledger.open()
        patients = Patients(day, self.product.messages, self.product.trust)
        async with beside(self._watch(day, ledger)):
            await day.prepare()
            async with beside(patients.read_mail()):
                await asyncio.gather(day.play(), self._midday(day))
                await day.until(self.clock.now() + _LATEST_CHECK_IN)
                await patients.settle()
                await _until_quiet(ledger)
        self.board.events = await ledger.moved()
        return [*await verdict.count(ledger, day), *await self.product.lines()]

    async def _midday(self, day: Day) -> None:
        await day.until(day.opens_at + _MIDDAY)
        await self.product.at_midday(self.clock)

    def _view(self) -> RenderableType:
        return self.board.render(self.clock.now(), self.console.width)

    def _tell(self, lines: list[Line]) -> list[str]:
        """Show how it ended; returns what makes the run worthless besides a broken promise."""
        self.board.restarts = self.product.restarts
        self.console.print(self._view())
        self.console.print(verdict.table(lines))
        for told in self.product.story():
            self.console.print(told, soft_wrap=True)
        missed = self.product.missed()
        for told in missed:
            self.console.print(told, style="bold red")
        return missed

    async def _watch(self, day: Day, ledger: Ledger) -> None:
        """Keep the board's counts fresh."""
        while True:
            self.board.restarts = self.product.restarts
            with suppress(ProductFailed):
                self.board.events = await ledger.moved()
            if day.staff.coordinator and day.people:
                counts = await day.system.get("/followup/v1/tasks/counts", acting=UUID(day.staff.coordinator))
                self.board.queue = counts["counts"]
            await asyncio.sleep(self.product.pace.look_seconds)

    async def _stay(self, clinic: Clinic, day: Day) -> None:
        origin = self.product.origin
        with self.console.status("The day is over ..."):
            await self.product.slow_down(self.clock)
        places = [
            *self.product.whereabouts(),
            ("API descriptions", f"{origin}/intake/openapi.json  /sessions/...  /followup/..."),
            ("messages to patients", str(self.product.messages)),
            *message_to_open(self.product.messages, day),
            list_to_open(self.product, clinic, day),
            ("what time it is in there", f"{self.clock.now():%A, %d %B %Y, %H:%M} UTC, {self.product.passing(self.clock)}"),
        ]
        self.console.print(f"The product stays up on {origin}, with clinic {clinic.clinic_id}. Ctrl-C ends it.")
        for what, where in places:
            self.console.print(f"  {what:25} {where}", soft_wrap=True)
        await asyncio.Event().wait()


def message_to_open(folder: Path, day: Day) -> list[tuple[str, str]]:
    """The newest one to somebody who never answers: its link is still open. With the birth date that it asks for."""
    silent = {person.email: person for person in day.people if person.role.reply == "never"}
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        if person := silent.get(json.loads(path.read_text())["to"]):
            return [("one that nobody answered", f"{path.name}: its link asks for the birth date, here {person.birth_date}")]
    return []


def list_to_open(product: Product, clinic: Clinic, day: Day) -> tuple[str, str]:
    """The task list as the coordinator sees it, by a link of the kind that no real clinic has."""
    links = StaffLinks(secrets.read(product.secrets, "followup-link-secret").encode())
    link = links.made(StaffLink(clinic.clinic_id, UUID(day.staff.coordinator)))
    return ("the task list, opens once", f"{product.origin}/queue/enter/{link}")


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do this until the block ends. Raises what ended it before; where the block failed itself, only that is told."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended


def a_clock_for(product: Product) -> AcceleratedClock:
    """It reaches the early morning of the next simulated day when the product has had its time to start."""
    pace = product.pace
    lead = timedelta(seconds=pace.start_seconds)
    opens_at = OPENS_AT if product.been_until is None else _morning_after(product.been_until + lead * pace.day_rate + _EARLY)
    first = Phase(datetime.now(UTC) + lead, opens_at - _EARLY, pace.day_rate)
    return AcceleratedClock(first).then(opens_at + _DAY, pace.night_rate).then(opens_at + _LEFT_UP, 1)


def _morning_after(moment: datetime) -> datetime:
    opens_at = OPENS_AT
    while opens_at < moment:
        opens_at += timedelta(days=1)
    return opens_at


async def _until_quiet(ledger: Ledger) -> None:
    """Wait until nothing is under way between the services; what stays under way is counted as such."""
    for _ in range(_QUIET_LOOKS):
        if not await ledger.under_way():
            return
        await asyncio.sleep(0.5)


def run_embedded(*, once: bool, failpoint: str, port: int, ops_port: int, folder: Path | None) -> int:
    """The demo on one process of its own; returns the exit code."""
    with _data_folder(folder) as data:
        embedding = Embedding(data, port=port, ops_port=ops_port, env="demo")
        product = EmbeddedProduct(embedding, failpoints(failpoint))
        code = _play(product, stay=not once)
        if code == BROKEN and folder is None and product.log.exists():
            kept = shutil.copy(product.log, Path(tempfile.mkdtemp(prefix="afterglow-demo-log-")))
            Console(stderr=True).print(f"What the product said is kept in {kept}", soft_wrap=True)
        return code


@contextmanager
def _data_folder(wanted: Path | None) -> Iterator[Path]:
    """The one that is wanted; otherwise one for this day only, since it holds the secrets of a whole installation."""
    if wanted is not None:
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="afterglow-demo-") as fresh:
        yield Path(fresh)


def run_on_compose(*, once: bool, kill: str) -> int:
    """The demo on the compose stack that is up; returns the exit code."""
    return _play(ComposeProduct(kill=kill), stay=not once)


async def _until_told_to_end(day: Coroutine[Any, Any, int]) -> int:
    """SIGTERM ends it as Ctrl-C does: the product is stopped and its folder removed. Raises CancelledError then."""
    told = asyncio.current_task()
    assert told is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.cancel)
    return await day


def _play(product: Product, *, stay: bool) -> int:
    console = Console()
    try:
        return asyncio.run(_until_told_to_end(Demo(product, console).run(stay=stay)))
    except (KeyboardInterrupt, asyncio.CancelledError) as ended:
        console.print("The demo was ended before its closing table: nothing was counted.")
        return 128 + (signal.SIGINT if isinstance(ended, KeyboardInterrupt) else signal.SIGTERM)
    except (Refused, ProductFailed, TimeoutError) as failed:
        console.print(f"The demo could not go on: {failed}", style="bold red", markup=False, soft_wrap=True)
        for told in product.missed():
            console.print(told, style="bold red")
        return BROKEN
