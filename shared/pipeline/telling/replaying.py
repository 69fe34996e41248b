"""Reading a stretch of a partition into its consumer again, through the inbox: what it had is skipped, what it missed is handled.

The stored position does not move, and nothing at or behind it is read, since the live consumer has that before it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from shared.bus import Bus, Place, Record
from shared.inbox import Inbox

_SECONDS = 10.0
_RECORDS = 2000
_AT_ONCE = 10
"""Records between two looks at the time: each may be tried for more than a second before it is parked."""


@dataclass(slots=True)
class Tally:
    """What a stretch held, and where the reading stopped."""

    next_offset: int
    read: int = 0
    known: int = 0
    ignored: int = 0
    applied: int = 0
    parked: int = 0


async def replay(inbox: Inbox, bus: Bus, place: Place, from_offset: int, to_offset: int, *, dry_run: bool) -> Tally:
    """Read from an offset up to before another, as far as ten seconds go; what fails is parked after one try.

    Raises BusUnavailable, or Unavailable for the database.
    """
    until = asyncio.get_running_loop().time() + _SECONDS
    reread = await bus.again(place, from_offset, to_offset, limit=_RECORDS)
    tally = Tally(next_offset=from_offset)
    for start in range(0, len(reread.records), _AT_ONCE):
        chunk = reread.records[start : start + _AT_ONCE]
        await _again(inbox, chunk, tally, dry_run=dry_run)
        tally.next_offset = chunk[-1].offset + 1
        if asyncio.get_running_loop().time() > until:
            return tally
    tally.next_offset = reread.next_offset
    return tally


async def _again(inbox: Inbox, records: Sequence[Record], tally: Tally, *, dry_run: bool) -> None:
    chunk = inbox.read(records)
    ids = [item.envelope.event_id for item in chunk.readable] + [parking.event_id for parking in chunk.parkings if parking.event_id]
    fresh = set(ids) - await _known(inbox, ids)
    if not dry_run:
        await inbox.handle(records, tries=1)
        parked = await _parked(inbox, fresh)
        tally.parked += len(parked)
        tally.applied += len(fresh - parked)
    else:
        tally.applied += len(fresh)
    tally.read += len(records)
    tally.ignored += len(records) - len(chunk.readable) - len(chunk.parkings)
    tally.known += len(ids) - len(fresh)


async def _known(inbox: Inbox, ids: Sequence[UUID]) -> set[UUID]:
    async with inbox.database.transaction() as db:
        return set(await db.scalars(_KNOWN, {"consumer": inbox.consumer, "ids": list(ids)}))


async def _parked(inbox: Inbox, ids: set[UUID]) -> set[UUID]:
    async with inbox.database.transaction() as db:
        return set(await db.scalars(_PARKED, {"consumer": inbox.consumer, "ids": list(ids)}))


_KNOWN = text("SELECT event_id FROM platform.inbox WHERE consumer = :consumer AND event_id = ANY(CAST(:ids AS uuid[]))")
_PARKED = text(
    "SELECT event_id FROM platform.parked WHERE consumer = :consumer AND state = 'parked' AND event_id = ANY(CAST(:ids AS uuid[]))"
)
