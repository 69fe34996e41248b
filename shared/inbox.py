"""Inbox: one transaction holds the inbox rows, the effects, the consumer's own events and its new offset.

The offset in our database is the authority and moves by compare-and-set, so a consumer that lost its partition cannot apply
anything twice; the inbox rows absorb what the producer's side repeats. A record that cannot be handled parks its key: later events
of that key follow it in order, everything else flows.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from shared import dispatch, failpoints, offsets, reading, seen, telemetry
from shared.bus import Fenced, Place, Position, Record, read_envelope
from shared.claiming import before_gaps, new_of, without_flood
from shared.db import Database, is_away
from shared.dispatch import Handler
from shared.errors import TooSlow
from shared.events.registry import Delivery, Event, MalformedEvent, Registry, UnknownEvent
from shared.owners import owners_of, without_strangers
from shared.parked_reasons import ParkedReason
from shared.parking import TIME_OFF, TOO_MANY_HOPS, Parking, behind, park
from shared.reading import Bounds, Chunk, Readable
from shared.turns import Part, Turns

CHUNK = 50
_AT_ONCE = 2
"""Transactions of one consumer at a time: one is decided about here while another one is with the database, and what waits meanwhile
goes together. Requests keep their connections."""


class Inbox:
    """One service's consumer of events: reads, deduplicates, dispatches and commits."""

    TRIES_SECONDS: tuple[float, ...] = (0.0, 0.3, 1.0)
    """Waits before each try of a record that fails by itself; after the last it is parked."""
    SLOW_TRIES_SECONDS: tuple[float, ...] = (*TRIES_SECONDS, 5.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0)
    """The same for one whose statement was ended for the time that it took, since the database may only be busy; each of the later tries
    raises an alarm."""

    def __init__(
        self,
        database: Database,
        *,
        consumer: str,
        registry: Registry,
        subscriptions: Mapping[type[Event], Handler],
        metrics: telemetry.Metrics,
        bounds: Bounds | None = None,
    ) -> None:
        """Without ``bounds`` an event may be of any time and a key may have any number of them."""
        self.database = database
        self.consumer = consumer
        self.topics = tuple(sorted({cls.type.topic for cls in subscriptions}))
        self._registry = registry
        self._handlers = dict(subscriptions)
        self._metrics = metrics
        self._bounds = bounds
        self._turns = Turns(_AT_ONCE)
        self._log = telemetry.logger("inbox", consumer=consumer)

    async def handle(
        self, records: Sequence[Record], *, partition: Place | None = None, expected: int | None = None, tries: int | None = None
    ) -> None:
        """Handle records of one partition, or of the local bus, in order. Raises Unavailable (nothing done, try again) or Fenced.

        With ``partition``, the stored offset must be ``expected`` and becomes the last record's offset plus one. With ``tries``, a record
        that fails by itself is parked after so many, for those who wait for an answer.
        """
        failure = await self._first_try(records, partition, expected)
        if failure is not None and len(records) == 1:
            await self._until_settled(records[0], partition, expected, failure, tries)
        elif failure is not None:
            for record in records:
                await self._until_settled(record, partition, expected, None, tries)
                expected = record.offset + 1

    async def _first_try(self, records: Sequence[Record], partition: Place | None, expected: int | None) -> Exception | None:
        """With the chunks of other partitions that wait for their turn too; alone where that fails, for whatever reason."""
        if partition is None or expected is None:
            return await self._try(records, partition, expected)
        try:
            part = Part(records, partition, expected, self.read(records))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the records' own: they are tried one by one
            return error
        async with self._turns.with_company(part) as company:
            if company and await self._together(part, company):
                return None
            if company is not None:
                return await self._attempt(records, partition, expected, part.chunk)
        return None if await part.done else await self._try(records, partition, expected)

    async def _together(self, part: Part, company: Sequence[Part]) -> bool:
        """Whether these parts were committed in one transaction."""
        chunks = [one.chunk for one in (part, *company)]
        whole = Chunk(
            [item for chunk in chunks for item in chunk.readable],
            records=[record for chunk in chunks for record in chunk.records],
            ignored=sum(chunk.ignored for chunk in chunks),
        )
        try:
            await self._transaction(whole, part.records, part.place, part.expected, company)
        except Exception as error:  # noqa: BLE001 - each part tries by itself, and what is wrong shows there
            self._log.debug("inbox.not_together", error_class=type(error).__name__, count=len(chunks))
            return False
        for other in company:
            other.tell(committed=True)
        return True

    async def _until_settled(
        self, record: Record, partition: Place | None, expected: int | None, failure: Exception | None, tries: int | None
    ) -> None:
        """Try a record as often as it deserves, one try being behind us when it has a failure already; then park it with the offset."""
        tried = 1 if failure else 0
        while tried < len(waits := self.waits(failure)[:tries]):
            if tried >= len(self.TRIES_SECONDS):
                self.alarm("not-handled", record.topic, record.partition)
            await asyncio.sleep(waits[tried])
            failure = await self._try([record], partition, expected)
            if failure is None:
                return
            tried += 1
        self._log.error("inbox.poison", error_class=type(failure).__name__, error_place=_place_of(failure), offset=record.offset)
        parking = Parking.of(record, reason=ParkedReason.POISON, error_class=type(failure).__name__, attempts=tried)
        async with self._turns.alone():
            await self._transaction(Chunk(parkings=[parking], records=[record]), [record], partition, expected)

    def waits(self, failure: Exception | None) -> Sequence[float]:
        """The pauses before each try of a record that failed so."""
        return self.SLOW_TRIES_SECONDS if isinstance(failure, TooSlow) else self.TRIES_SECONDS

    async def _try(self, records: Sequence[Record], partition: Place | None, expected: int | None) -> Exception | None:
        """One try; returns the failure when it is the records' own, raises when it is not."""
        async with self._turns.alone():
            return await self._attempt(records, partition, expected)

    async def _attempt(
        self, records: Sequence[Record], partition: Place | None, expected: int | None, chunk: Chunk | None = None
    ) -> Exception | None:
        """The same, for who has the turn, and perhaps has read the records."""
        try:
            await self._transaction(chunk or self.read(records), records, partition, expected)
        except Fenced:
            self._metrics.fenced.inc()
            raise
        except Exception as error:  # whatever a handler raises is its record's own: who called decides how often it is tried
            if is_away(error):
                raise
            return error
        return None

    def read(self, records: Sequence[Record]) -> Chunk:
        """What of these records could be handled, what would be parked, and what is nothing to us."""
        return reading.read(records, self._registry, self._handlers.keys(), self._bounds)

    async def _transaction(
        self,
        chunk: Chunk,
        records: Sequence[Record],
        partition: Place | None,
        expected: int | None,
        company: Sequence[Part] = (),
    ) -> None:
        """``chunk`` holds what was read of the records and of the company's."""
        async with self.database.transaction() as db:
            fresh = await self._claim(db, chunk)
            free, following = await behind(db, self.consumer, fresh, chunk.parkings)
            chunk.parkings += following
            free = without_flood(chunk, free, self._bounds)
            await park(db, self.consumer, chunk.parkings)
            await self.dispatch(db, [item.delivery for item in free])
            await self._advance(db, records, partition, expected)
            for part in company:
                await self._advance(db, part.records, part.place, part.expected)
            failpoints.hit("inbox.before_commit")
        failpoints.hit("inbox.after_commit")
        self._count(chunk, free)

    async def _claim(self, db: AsyncSession, chunk: Chunk) -> list[Readable]:
        """Insert the inbox rows; returns what had not been there, in the order of its numbers.

        What says something else under a known id, what names a key of another clinic, and what comes after one that is missing is to
        be parked. Another clinic's is set aside first: with a number far ahead it would hold up the key that it does not own.
        """
        ids = {id(item.record): item.envelope.event_id for item in chunk.readable}
        ids |= {id(parking.record): parking.event_id for parking in chunk.parkings if parking.event_id is not None}
        chunk.seen = await seen.claim(db, self.consumer, [(record, ids.get(id(record))) for record in chunk.records])
        own, strangers = await without_strangers(db, new_of(chunk))
        chunk.parkings += strangers
        gaps = await before_gaps(db, self.consumer, chunk, own)
        chunk.parkings += [Parking.of(record, reason=ParkedReason.SEQUENCE_GAP, error_class="event-missing-before") for record in gaps]
        missing = {id(record) for record in gaps}
        return reading.in_sequence([item for item in own if id(item.record) not in missing])

    async def dispatch(self, db: AsyncSession, deliveries: Sequence[Delivery[Event]]) -> None:
        """Run the handlers of these deliveries."""
        await dispatch.dispatch(db, self._handlers, deliveries)

    async def _advance(self, db: AsyncSession, records: Sequence[Record], partition: Place | None, expected: int | None) -> None:
        if partition is not None and expected is not None:
            await offsets.advance(db, self.consumer, partition, records, expected=expected)

    def _count(self, chunk: Chunk, handled: Sequence[Readable]) -> None:
        alarming = Counter(parking.reason for parking in chunk.parkings if parking.error_class in _ALARMING)
        for reason, count in alarming.items():
            self._log.error("inbox.set_aside", reason=reason.value, count=count)
        self._metrics.ignored.inc(chunk.ignored)
        self._metrics.duplicates.inc(chunk.duplicates)
        for parking in chunk.parkings:
            self._metrics.parked.labels(parking.reason).inc()
        for item in handled:
            self._metrics.handled.labels(item.envelope.type_name).inc()

    async def position(self, topic: str, partition: int) -> Position | None:
        """The stored position of this consumer in a partition, or None."""
        async with self.database.transaction() as db:
            return await offsets.read(db, self.consumer, (topic, partition))

    async def positions(self) -> dict[tuple[str, int], Position]:
        """All stored positions of this consumer, by topic and partition."""
        async with self.database.transaction() as db:
            return await offsets.read_all(db, self.consumer)

    async def begin_at(self, topic: str, partition: int, position: Position) -> Position:
        """Store where to begin, unless a position is stored already; returns the stored one."""
        async with self.database.transaction() as db:
            await offsets.begin(db, self.consumer, (topic, partition), position)
            return await offsets.read(db, self.consumer, (topic, partition)) or position

    async def start_at(self, topic: str, partition: int, position: Position) -> None:
        """Store a position without having read up to it; the inbox absorbs what comes twice."""
        async with self.database.transaction() as db:
            await offsets.restart(db, self.consumer, (topic, partition), position)

    def alarm(self, reason: str, topic: str, partition: int) -> None:
        """Tell people about a partition that is not as it should be."""
        self._metrics.consumer_alarms.labels(reason).inc()
        self._log.error("inbox.alarm", reason=reason, topic=topic, partition=partition)

    async def handle_again(self, db: AsyncSession, *records: Record, of_any_time: bool = False) -> None:
        """Run the handlers of parked records in this transaction, in their order. What is missing before them is not waited for any more.

        ``of_any_time`` says that a person has accepted the time. Raises what a handler raises, or says why one cannot be read.
        """
        bounds = None if of_any_time else self._bounds
        deliveries = [delivery for record in records if (delivery := self._read_again(record, bounds)) is not None]
        owners = await owners_of(db, {delivery.event.key: delivery.clinic_id for delivery in deliveries})
        if any(owners[delivery.event.key] != delivery.clinic_id for delivery in deliveries):
            raise MalformedEvent("event-tenant-mismatch")
        await self.dispatch(db, [delivery for delivery in deliveries if type(delivery.event) in self._handlers])
        await seen.note(db, self.consumer, records)

    def _read_again(self, record: Record, bounds: Bounds | None) -> Delivery[Event] | None:
        """A parked record as a delivery; None for one of an unknown type, that only waited. Raises MalformedEvent and UnknownEvent."""
        try:
            envelope, delivery = read_envelope(record), reading.read_delivery(record, self._registry)
        except ValueError:
            raise MalformedEvent from None
        except UnknownEvent as unknown:
            if unknown.known_name:
                raise
            return None
        if type(delivery.event) in self._handlers:
            reading.check_hops(envelope)
            if bounds is not None:
                bounds.check(envelope)
        return delivery


def _place_of(failure: Exception | None) -> str | None:
    return telemetry.place_of(failure) if failure is not None else None


_ALARMING = ("event-other-content", "event-missing-before", TIME_OFF, TOO_MANY_HOPS, "event-flood")
"""Classes of errors that a person is told of by a line of the log too; the alerts go by the metrics. What only follows has another."""
