"""What of a claimed chunk may be handled now: what is new, has no gap before it and is no surplus of its key. What may not is parked."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from shared import seen
from shared.bus import Record, content_of
from shared.parked_reasons import ParkedReason
from shared.parking import Parking
from shared.reading import Bounds, Chunk, Readable


def new_of(chunk: Chunk) -> list[Readable]:
    """What is readable and new. What says something else under a known id is parked, and is never applied."""
    new, contents = set(chunk.seen.new), dict[UUID, bytes]()
    chunk.parkings = [parking for parking in chunk.parkings if parking.event_id is None or parking.event_id in new] + [
        _told_otherwise(parking.record)
        for parking in chunk.parkings
        if parking.event_id is not None and (parking.event_id, content_of(parking.record)) in chunk.seen.told_otherwise
    ]
    fresh: list[Readable] = []
    for item in chunk.readable:
        event_id, content = item.envelope.event_id, content_of(item.record)
        if event_id in new:
            new.discard(event_id)
            contents[event_id] = content
            fresh.append(item)
        elif (event_id, content) in chunk.seen.told_otherwise or contents.get(event_id, content) != content:
            chunk.parkings.append(_told_otherwise(item.record))
        else:
            chunk.duplicates += 1
    return fresh


def _told_otherwise(record: Record) -> Parking:
    """Nothing waits for it: the event that has this id was handled in its place."""
    return Parking.of(record, reason=ParkedReason.OTHER_CONTENT, error_class="event-other-content")


async def before_gaps(db: AsyncSession, consumer: str, chunk: Chunk, fresh: Sequence[Readable]) -> list[Record]:
    """Records before which one of their key is missing. What is not for us waits too: it closes the gap for what follows it."""
    known = {id(item.record) for item in chunk.readable} - {id(item.record) for item in fresh}
    known |= {id(parking.record) for parking in chunk.parkings}
    numbered = [(record, seen.number_of(record)) for record in chunk.records if id(record) not in known]
    suspects = [(record, number[0]) for record, number in numbered if number and number[1] > chunk.seen.reached.get(number[0], number[1])]
    if not suspects:
        return []
    watched = await seen.unbroken(db, consumer, {(key, record.partition) for record, key in suspects})
    await seen.note(db, consumer, [record for record, key in suspects if key not in watched])
    return [record for record, key in suspects if key in watched]


def without_flood(chunk: Chunk, free: Sequence[Readable], bounds: Bounds | None) -> list[Readable]:
    """As many of a key as are handled within a minute; what is more is parked, and taken up later."""
    if bounds is None:
        return list(free)
    of_key = Counter((item.record.topic, item.envelope.key) for item in free)
    room = {key: bounds.in_minute - chunk.seen.in_minute.get(key, 0) + count for key, count in of_key.items()}
    handled: list[Readable] = []
    for item in free:
        key = (item.record.topic, item.envelope.key)
        room[key] -= 1
        if room[key] >= 0:
            handled.append(item)
        else:
            chunk.parkings.append(Parking.of(item.record, reason=ParkedReason.FLOOD, error_class="event-flood"))
    return handled
