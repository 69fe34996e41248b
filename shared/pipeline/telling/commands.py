"""Mending by what was told before: replay into this service, republish from it, and settle what is lost on the way."""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import offsets
from shared.bus import BusUnavailable, Outlook, Place, Position
from shared.db import kept_open
from shared.errors import Conflict, FieldError, Invalid, Unavailable
from shared.inbox import Inbox
from shared.pipeline.commands import one_at_a_time
from shared.pipeline.telling import replaying
from shared.pipeline.telling.schemas import GapSettled, Replayed, ReplayRange, Republished, RepublishSince, SettleGap
from shared.service import Service

_EVENTS_AT_ONCE = 10_000


async def replay(db: AsyncSession, service: Service, wanted: ReplayRange) -> Replayed:
    """Read a range again into this service's consumer. Its stored position stays, so its own reading goes on undisturbed."""
    inbox, place = _consumer(service, wanted.topic), (wanted.topic, wanted.partition)
    if (wanted.from_offset is None) == (wanted.since is None):
        raise Invalid("selection-required", "Name exactly one of from_offset and since.")
    await one_at_a_time(db)
    try:
        async with kept_open(db):
            start, end = await _range(service, inbox, place, wanted)
            tally = await replaying.replay(inbox, service.bus, place, start, end, dry_run=wanted.dry_run)
    except BusUnavailable:
        raise Unavailable("The bus cannot be reached.") from None
    return Replayed(
        dry_run=wanted.dry_run, topic=wanted.topic, partition=wanted.partition, from_offset=start, to_offset=end,
        read=tally.read, known=tally.known, ignored=tally.ignored, applied=tally.applied, parked=tally.parked,
        next_offset=tally.next_offset if tally.next_offset < end else None,
    )  # fmt: skip


async def republish(db: AsyncSession, wanted: RepublishSince) -> Republished:
    """Put events into the outbox again, part by part, as they were told: the same rows make the same bytes with the same ids."""
    await one_at_a_time(db)
    bounds = {"since": wanted.since, "until": wanted.until, "after": wanted.after, "limit": _EVENTS_AT_ONCE}
    row = (await db.execute(_COUNT if wanted.dry_run else _REPUBLISH, bounds)).one()
    more = row.found == _EVENTS_AT_ONCE
    return Republished(
        dry_run=wanted.dry_run, events=row.found - row.waiting, waiting_already=row.waiting, next_after=row.last if more else None
    )


async def settle_gap(db: AsyncSession, service: Service, wanted: SettleGap) -> GapSettled:
    """Store the first offset that is still there as the position. Only where the position itself is lost: nothing else is skipped."""
    inbox, place = _consumer(service, wanted.topic), (wanted.topic, wanted.partition)
    await one_at_a_time(db)
    stored = await offsets.read(db, inbox.consumer, place)
    async with kept_open(db):
        seen = await _outlook(service, inbox, place)
    if stored is None or seen is None or stored.next_offset >= seen.first_offset:
        raise Conflict("no-gap", "Nothing that this consumer has before it is lost in this partition.")
    if not wanted.dry_run:
        await offsets.restart(db, inbox.consumer, place, Position(seen.first_offset))
    return GapSettled(
        dry_run=wanted.dry_run, topic=wanted.topic, partition=wanted.partition, from_offset=stored.next_offset,
        to_offset=seen.first_offset, lost=seen.first_offset - stored.next_offset,
    )  # fmt: skip


def _consumer(service: Service, topic: str) -> Inbox:
    if service.inbox is None or topic not in service.inbox.topics:
        raise Invalid("topic-not-read", "This service does not read this topic.", errors=[FieldError("/topic", "topic-not-read")])
    return service.inbox


async def _range(service: Service, inbox: Inbox, place: Place, wanted: ReplayRange) -> tuple[int, int]:
    """From where to where. Raises Conflict for what the live consumer has before it."""
    reached = await service.bus.reached(inbox, place)
    start = wanted.from_offset if wanted.since is None else await service.bus.offset_at(place, wanted.since)
    assert start is not None
    end = reached if wanted.to_offset is None else wanted.to_offset
    if end > reached:
        raise Conflict("range-ahead", "The consumer has not come so far by itself.", extra={"next_offset": reached})
    return min(start, end), end


async def _outlook(service: Service, inbox: Inbox, place: Place) -> Outlook | None:
    try:
        return (await service.bus.outlook(inbox, {})).get(place)
    except BusUnavailable:
        raise Unavailable("The bus cannot be reached.") from None


_FOUND = """
    WITH within AS MATERIALIZED (
        SELECT seq, partition FROM platform.event_log
        WHERE recorded_at >= :since AND recorded_at < coalesce(CAST(:until AS timestamptz), now())
    ), found AS (
        SELECT seq, partition FROM within WHERE seq > :after ORDER BY seq LIMIT :limit
    )
"""
_COUNT = text(
    f"""
    {_FOUND}
    SELECT count(*) AS found, count(p.seq) AS waiting, max(f.seq) AS last
    FROM found f LEFT JOIN platform.outbox_pending p USING (seq)
    """  # noqa: S608 - a constant of ours
)
_REPUBLISH = text(
    f"""
    {_FOUND}, told AS (
        INSERT INTO platform.outbox_pending (seq, partition)
        SELECT seq, partition FROM found ORDER BY seq ON CONFLICT DO NOTHING RETURNING seq
    )
    SELECT count(*) AS found, count(*) - (SELECT count(*) FROM told) AS waiting, max(seq) AS last FROM found
    """  # noqa: S608 - as above
)
