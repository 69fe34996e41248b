"""Taking turns at the database: who waits for a turn is taken along by the one whose turn it is.

Each partition hands in one chunk at a time. While nothing waits, every chunk has a transaction of its own at once; the more that wait,
the more share one, so that what a transaction costs by itself is paid once for many events, and nobody lingers for company.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shared.bus import Place, Record
from shared.reading import Chunk

TOGETHER = 100
"""Records that share a transaction, at most; a chunk is never split."""


@dataclass(eq=False)
class Part:
    """One partition's chunk, and where its offset is expected to be."""

    records: Sequence[Record]
    place: Place
    expected: int
    chunk: Chunk
    taken: bool = False
    done: "asyncio.Future[bool]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Set for who was taken along: whether it is committed, or has to try by itself."""

    def tell(self, *, committed: bool) -> None:
        """What became of it; the first word counts, and who has been called off meanwhile hears none."""
        if not self.done.done():
            self.done.set_result(committed)


class Turns:
    """So many at a time; the others wait in order."""

    def __init__(self, at_once: int) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._waiting: list[Part] = []

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """A turn without company."""
        async with self._slots:
            yield

    @asynccontextmanager
    async def with_company(self, part: Part) -> AsyncIterator[list[Part] | None]:
        """A turn, with the other parts to take along; None for who was taken along itself. Who was not committed is told to try alone."""
        self._waiting.append(part)
        try:
            async with self._slots:
                company = None if part.taken else self._company_of(part)
                try:
                    yield company
                finally:
                    for other in company or ():
                        other.tell(committed=False)
        finally:
            if not part.taken:
                self._waiting.remove(part)

    def _company_of(self, part: Part) -> list[Part]:
        """Of those who wait, oldest first, the ones that nothing has to be parked of: they disturb nobody's order."""
        part.taken = True
        self._waiting.remove(part)
        company: list[Part] = []
        room = TOGETHER - len(part.records)
        for other in [] if part.chunk.parkings else list(self._waiting):
            if not other.chunk.parkings and len(other.records) <= room:
                room -= len(other.records)
                other.taken = True
                self._waiting.remove(other)
                company.append(other)
        return company
