"""The bus of one process over one cluster."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.bus import Lag, Outgoing, Outlook, Place, Published, Reread, Subscriber
from shared.kafka import looking
from shared.kafka.consuming import Consuming
from shared.kafka.publishing import Publisher
from shared.kafka.settings import KafkaSettings


class KafkaBus:
    """Publishes and consumes through one cluster."""

    consuming_type = Consuming

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._publisher = Publisher(settings)
        self._consuming: dict[str, Consuming] = {}

    def subscribe(self, subscriber: Subscriber) -> None:
        self._consuming[subscriber.consumer] = self.consuming_type(self._settings, subscriber)

    async def publish(self, batch: Sequence[Outgoing]) -> Published:
        return await self._publisher.publish(batch)

    async def consume(self, subscriber: Subscriber, stop: asyncio.Event) -> None:
        await self._consuming[subscriber.consumer].run(stop)

    async def lags(self, subscriber: Subscriber) -> list[Lag]:
        return await self._consuming[subscriber.consumer].lags()

    async def outlook(self, subscriber: Subscriber, positions: Mapping[Place, int]) -> dict[Place, Outlook]:
        return await looking.outlook(self._settings, subscriber.topics, positions)

    async def reached(self, subscriber: Subscriber, place: Place) -> int:
        stored = await subscriber.position(*place)
        return stored.next_offset if stored is not None else 0

    async def offset_at(self, place: Place, moment: datetime) -> int:
        return await looking.offset_at(self._settings, place, moment)

    async def again(self, place: Place, from_offset: int, to_offset: int, *, limit: int) -> Reread:
        return await looking.again(self._settings, place, from_offset, to_offset, limit=limit)

    def queued(self, subscriber: Subscriber) -> int:
        return self._consuming[subscriber.consumer].queued()

    async def close(self) -> None:
        await self._publisher.close()
