"""One assigned partition: load its stored position, then handle what is queued, chunk by chunk, until it is taken away."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiokafka.errors import KafkaError

from shared import telemetry
from shared.bus import BusUnavailable, Fenced, Position, Record, event_id_of
from shared.db import is_away
from shared.inbox import CHUNK
from shared.kafka.backlog import Backlog
from shared.kafka.starting import FIRST_WAIT, LONGEST_WAIT, Home, Start, alarm

_FENCES_IN_A_ROW = 3


class Partition:
    """Works on one partition from its assignment to its revocation, in a task of its own. Its stored offset is the authority.

    ``ready`` tells whether records are wanted: between a ``seek`` and ``ready`` there must be no await, since a record that arrived
    in between would be thrown away while the client's position moves on.
    """

    def __init__(self, home: Home) -> None:
        self.ready = False
        self.expected: int | None = None
        self.backlog = Backlog()
        self._home = home
        self._log = telemetry.logger("kafka-partition", consumer=home.subscriber.consumer, topic=home.topic, partition=home.place.partition)
        self._arrived = asyncio.Event()
        self._paused = True
        self._handling = False
        self._in_hand_since: float | None = None
        self._released = False
        self._start = Start(home)
        self._to_verify: Position | None = None
        self._gap_at: int | None = None
        self._fences = 0
        # A position, any position, keeps the client from looking for one, which would hold up all other partitions; paused, it reads none.
        home.consumer.pause(home.place)
        home.consumer.seek(home.place, 0)
        self._task = asyncio.create_task(self._run())

    @property
    def idle(self) -> bool:
        """Whether nothing is being done: all that has arrived is handled, or nothing ever will be."""
        return self._task.done() or (self.ready and not self.backlog and not self._handling)

    @property
    def held(self) -> bool:
        """Whether it waits for a person to store a position."""
        return self._start.lost

    @property
    def oldest_at(self) -> float | None:
        """When the bus took the oldest record that is here and not handled."""
        return self._in_hand_since if self._in_hand_since is not None else self.backlog.oldest_at()

    def offer(self, records: Sequence[Record]) -> None:
        """Queue records; a long queue pauses the partition."""
        self.backlog.extend(records)
        self._arrived.set()
        if self.backlog.full and not self._paused:
            self._paused = True
            self._home.consumer.pause(self._home.place)

    def reload(self) -> None:
        """Begin again at the stored position, as soon as what is being handled is done."""
        self._stop_reading()
        self._arrived.set()

    async def release(self, seconds: float) -> None:
        """End: let a running transaction finish for so long, then cancel it, which rolls it back."""
        self._released = True
        self.reload()
        if not self._handling:
            self._task.cancel()
        await asyncio.wait({self._task}, timeout=seconds)
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=2)

    async def _run(self) -> None:
        wait = FIRST_WAIT
        while not self._released:
            try:
                await self._load()
                wait = FIRST_WAIT
                await self._work()
            except Fenced:
                if not await self._heal():
                    return
            except Exception as error:  # noqa: BLE001 - a partition must not die in silence
                self._stop_reading()
                self._say(error, "kafka.partition_failed")
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)

    async def _heal(self) -> bool:
        """Someone else moved the offset, or a commit of ours did and its answer was lost: look at it again, or join again."""
        if self._released:
            return False
        self._stop_reading()
        self._fences += 1
        self._log.warning("kafka.fenced", attempt=self._fences)
        if self._fences >= _FENCES_IN_A_ROW:
            self._home.rejoin()
            return False
        await asyncio.sleep(FIRST_WAIT * self._fences)
        return True

    def _say(self, error: Exception, event: str) -> None:
        """What is away comes back; anything else is a defect, and a person must know that a partition stands still."""
        if is_away(error) or isinstance(error, KafkaError | BusUnavailable):
            self._log.warning(event, error_class=type(error).__name__)
            return
        self._log.error(event, error_class=type(error).__name__, error_place=telemetry.place_of(error))
        alarm(self._home, "not-handled")

    def _stop_reading(self) -> None:
        self.ready = False
        self.backlog.clear()
        self._in_hand_since = None
        self._paused = True
        with suppress(KafkaError):  # the partition may have been taken away meanwhile
            self._home.consumer.pause(self._home.place)

    async def _load(self) -> None:
        position = await self._start.find()
        self.expected = position.next_offset
        self._to_verify = position if position.last_event_id is not None and position.next_offset > 0 else None
        self._gap_at = None
        self._read_from(self._wanted)
        self.ready = True

    def _read_from(self, offset: int) -> None:
        self.backlog.clear()
        self._home.consumer.seek(self._home.place, offset)
        self._paused = False
        self._home.consumer.resume(self._home.place)

    async def _work(self) -> None:
        while self.ready:
            chunk = self._next_chunk()
            if chunk and self._to_verify is not None:
                chunk = await self._verified(chunk, self._to_verify)
            if chunk:
                await self._handle(chunk)
            else:
                await self._until_something_arrived()

    async def _until_something_arrived(self) -> None:
        if self.ready and not self.backlog:
            self._arrived.clear()
            await self._arrived.wait()

    @property
    def _wanted(self) -> int:
        """The offset to come next; first of all the record before it, by which a log is recognised."""
        assert self.expected is not None
        return self.expected - (1 if self._to_verify else 0)

    def _next_chunk(self) -> list[Record]:
        """Records without a gap, starting where we are. A gap is believed only when it is still there after seeking back."""
        self.backlog.skip_before(self._wanted)
        chunk: list[Record] = []
        if self.backlog:
            first = self.backlog.first_offset()
            if first == self._wanted:
                chunk = self.backlog.take(CHUNK)
            elif self._gap_at == first:
                alarm(self._home, "gap")
                chunk = self.backlog.take(CHUNK)
            else:
                self._gap_at = first
                self._read_from(self._wanted)
        self._resume_when_low()
        return chunk

    async def _verified(self, chunk: list[Record], position: Position) -> list[Record]:
        """Take off the record before our offset. If it is not the one that we handled, this is another log."""
        if chunk[0].offset != position.next_offset - 1:
            self._to_verify = None
            return chunk
        if event_id_of(chunk[0]) != position.last_event_id:
            await self._start.over()
            self._stop_reading()
            return []
        self._to_verify = None
        return chunk[1:]

    async def _handle(self, chunk: list[Record]) -> None:
        """Handle a chunk, waiting without limit for what is away; given up only when the partition is taken away."""
        wait = FIRST_WAIT
        self._in_hand_since = chunk[0].written_at
        while self.ready:
            try:
                await self._handle_once(chunk)
            except Fenced:
                raise
            except Exception as error:  # noqa: BLE001 - as in _run
                self._say(error, "kafka.not_handled")
                if self.ready:
                    await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)
            else:
                self.expected = chunk[-1].offset + 1
                self._gap_at = self._in_hand_since = None
                self._fences = 0
                return

    async def _handle_once(self, chunk: list[Record]) -> None:
        self._handling = True
        try:
            partition = (self._home.topic, self._home.place.partition)
            await self._home.subscriber.handle(chunk, partition=partition, expected=self.expected)
        finally:
            self._handling = False

    def _resume_when_low(self) -> None:
        if self._paused and self.ready and self.backlog.low:
            self._paused = False
            self._home.consumer.resume(self._home.place)
