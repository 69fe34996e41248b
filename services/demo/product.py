"""The product as the demo sees it, whichever way it runs: where it is reached, which clock it runs on, and what it can be asked."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from services.demo.clock import DayClock
from services.demo.ledger import Line


class ProductFailed(Exception):
    """The product ended by itself, did not become ready, or does not answer."""


@dataclass(frozen=True)
class Pace:
    """How fast a day goes by on a product that runs this way, and how much real time it needs."""

    day_rate: float
    night_rate: float
    start_seconds: float
    """Real time that a start may take before its clock passes the first simulated moment."""
    look_seconds: float
    """How often it is looked at for the view."""
    patience_seconds: float
    """How long a request is asked for again before the clinic's system gives up."""


class Product(Protocol):
    """One product, started for the day and counted afterwards."""

    @property
    def pace(self) -> Pace: ...

    @property
    def been_until(self) -> datetime | None:
        """How far its clock has come on earlier days; None where it has run on none."""

    @property
    def origin(self) -> str: ...

    @property
    def trust(self) -> ssl.SSLContext | None:
        """What its callers trust, where that is not the machine's own list."""

    @property
    def secrets(self) -> Path: ...

    @property
    def messages(self) -> Path:
        """The folder that stands in for the mail server."""

    @property
    def restarts(self) -> int:
        """How often a part of it was started again."""

    async def prepare(self) -> None:
        """What takes long and needs no clock. Raises ProductFailed."""

    async def start(self, clock: DayClock) -> None:
        """Start on this clock and wait until it is ready. Raises ProductFailed."""

    async def stop(self) -> None:
        """Stop what ``start`` started, the polite way."""

    async def slow_down(self, clock: DayClock) -> None:
        """Called when the day is over and it stays up: where that costs little, it and this clock go on at real pace."""

    def passing(self, clock: DayClock) -> str:
        """How time passes on it after the day."""

    def left(self, clock: DayClock) -> list[str]:
        """What is left of it once the demo has ended, and how that is ended."""

    async def at_midday(self, clock: DayClock) -> None:
        """Called while visits are going on: the moment to do harm, where that was asked for."""

    async def ask(self, service: str, query: str) -> str:
        """The one value that a query finds in a service's database, asked as a superuser. Raises ProductFailed."""

    async def lines(self) -> list[Line]:
        """What only this way of running can count at the end of the day."""

    def story(self) -> list[str]:
        """What was done to it on the way."""

    def missed(self) -> list[str]:
        """What should have been done to it and never was, or happened to it and should not: a run that proves nothing."""

    def whereabouts(self) -> list[tuple[str, str]]:
        """Where to look while it stays up: what, and where."""
