"""The load: completions as fast as clients can, or at a rate; by HTTP, or by the floor's bare statements."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

import orjson

from tests.benchmarks.ground import Ground, Waiting

CLIENTS = 16
_LOOK_SECONDS = 0.05
_TOKEN_SECONDS = 20.0
"""After so long the token is asked for again; the one that is handed out is good for 30 s at least."""


class Work(Protocol):
    """What completes an infusion: the product or its floor."""

    async def complete(self, waiting: Waiting) -> bool:
        """One completion; False when it was refused for now."""


@dataclass
class Driven:
    """What clients did in a window of time."""

    accepted: list[Waiting] = field(default_factory=list)
    asked_at: dict[UUID, datetime] = field(default_factory=dict)
    refused: int = 0
    seconds: float = 0.0
    finished: int = 0
    """Of all that was accepted since the window's begin, what had its effect at the window's end."""
    deepest: int = 0
    """The longest that the backlog was seen."""


async def drive(
    work: Work, ground: Ground, waiting: Sequence[Waiting], seconds: float, *, clients: int = CLIENTS, hold_at: int | None = None
) -> Driven:
    """Clients that ask as fast as they are answered, until the time is over or nothing is left.

    ``hold_at`` lets them wait while so much is accepted and not finished.
    """
    driven = Driven()
    queue = iter(waiting)
    before = await ground.finished()
    began = time.monotonic()
    go_on = asyncio.Event()
    go_on.set()
    watching = asyncio.create_task(_watch(ground, driven, before, go_on, hold_at))

    async def client() -> None:
        while time.monotonic() - began < seconds and (one := next(queue, None)) is not None:
            await go_on.wait()
            while not await work.complete(one):
                driven.refused += 1
            driven.accepted.append(one)

    await asyncio.gather(*(client() for _ in range(clients)))
    driven.seconds = time.monotonic() - began
    driven.finished = await ground.finished() - before
    watching.cancel()
    await asyncio.wait({watching})
    return driven


async def _watch(ground: Ground, driven: Driven, before: int, go_on: asyncio.Event, hold_at: int | None) -> None:
    while True:
        backlog = len(driven.accepted) - (await ground.finished() - before)
        driven.deepest = max(driven.deepest, backlog)
        if hold_at is not None and backlog >= hold_at:
            go_on.clear()
        else:
            go_on.set()
        await asyncio.sleep(_LOOK_SECONDS)


async def pace(work: Work, waiting: Sequence[Waiting], per_second: float) -> Driven:
    """Completions that are asked for at a steady rate, whether the one before was answered or not."""
    driven = Driven()
    began = time.monotonic()

    async def one_of(n: int, one: Waiting) -> None:
        await asyncio.sleep(max(0.0, began + n / per_second - time.monotonic()))
        driven.asked_at[one.infusion_id] = datetime.now(UTC)
        while not await work.complete(one):
            driven.refused += 1
        driven.accepted.append(one)

    await asyncio.gather(*(one_of(n, one) for n, one in enumerate(waiting)))
    driven.seconds = time.monotonic() - began
    return driven


class Requests:
    """Completions by HTTP on kept connections, written out by hand: a client library would cost more than the services."""

    def __init__(self, ground: Ground, port: int) -> None:
        self._ground = ground
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._body = orjson.dumps({"discharged_at": ground.discharged_at})
        self._token = ""
        self._token_at = -_TOKEN_SECONDS

    async def complete(self, waiting: Waiting) -> bool:
        """One completion."""
        request = await self._request(waiting)
        while (answer := await self._asked(request)) is None:
            continue
        status, body = answer
        if status not in (200, 503):
            raise AssertionError(f"completion answered {status}: {body!r}")
        return status == 200

    async def _asked(self, request: bytes) -> tuple[int, bytes] | None:
        """Status and body; None when the connection had been kept too long. The key makes the request safe to repeat."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(request)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return None
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        body = await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(head[9:12]), body

    async def _request(self, waiting: Waiting) -> bytes:
        if time.monotonic() - self._token_at > _TOKEN_SECONDS:
            self._token = await self._ground.system.access_token()  # whoever comes meanwhile asks too: the old one may be dead
            self._token_at = time.monotonic()
        head = (
            f"POST /sessions/v1/infusions/{waiting.infusion_id}/complete HTTP/1.1\r\nHost: afterglow.test\r\n"
            f"Authorization: Bearer {self._token}\r\nAfterglow-Practitioner: {self._ground.prescriber}\r\n"
            f'Idempotency-Key: "{uuid4()}"\r\nContent-Type: application/json\r\nContent-Length: {len(self._body)}\r\n\r\n'
        )
        return head.encode() + self._body

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


@asynccontextmanager
async def requests(ground: Ground) -> AsyncIterator[Requests]:
    """A client of the running sessions."""
    client = Requests(ground, ground.installation.one("sessions").port)
    try:
        yield client
    finally:
        client.close()
