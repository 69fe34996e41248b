"""Where to start reading a partition: at the position in our database, if the log is still the one that it belongs to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.bus import BusUnavailable, Position, Subscriber

FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0
"""Seconds between tries of what cannot be done now, doubling from the first to the longest."""
_BOUNDS_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Home:
    """Where a partition belongs: the client it is read with, whom its records go to, and how to ask for a fresh membership."""

    consumer: AIOKafkaConsumer
    subscriber: Subscriber
    place: TopicPartition
    topic: str
    """The topic as the services know it, without the installation's namespace."""
    rejoin: Callable[[], None]


def alarm(home: Home, reason: str) -> None:
    """Tell people about this partition."""
    home.subscriber.alarm(reason, home.topic, home.place.partition)


class Start:
    """Finds where a partition starts. ``lost`` while that waits for a person, since retention has taken what was to come next."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.lost = False

    async def find(self) -> Position:
        """The position to start at. What retention has taken is never skipped: that waits until a person has stored a position."""
        wait = FIRST_WAIT
        while True:
            position = await self._position()
            if position is not None:
                self.lost = False
                return position
            if not self.lost:
                self.lost = True
                alarm(self._home, "retention-loss")
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def over(self) -> None:
        """Start at the beginning: this log is not the one that the stored offset belongs to. The topic was lost and made anew."""
        first, _ = await self._bounds()
        await self._restart(first)

    async def _position(self) -> Position | None:
        """The stored position; the beginning where there is none, whatever the group's committed offset says; None when it is lost."""
        topic, partition = self._home.topic, self._home.place.partition
        stored = await self._home.subscriber.position(topic, partition)
        first, end = await self._bounds()
        if stored is None:
            return await self._home.subscriber.begin_at(topic, partition, Position(first))
        if stored.next_offset > end:
            return await self._restart(first)
        if stored.next_offset < first:
            return None
        return stored if stored.next_offset > first else Position(first)

    async def _restart(self, first: int) -> Position:
        alarm(self._home, "another-log")
        await self._home.subscriber.start_at(self._home.topic, self._home.place.partition, Position(first))
        return Position(first)

    async def _bounds(self) -> tuple[int, int]:
        place, consumer = self._home.place, self._home.consumer
        try:
            async with asyncio.timeout(_BOUNDS_SECONDS):
                return (await consumer.beginning_offsets([place]))[place], (await consumer.end_offsets([place]))[place]
        except TimeoutError as late:
            raise BusUnavailable("the bounds of a partition cannot be had") from late
