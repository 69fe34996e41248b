"""The bus of one process over one cluster."""

import asyncio
from collections.abc import Mapping, Sequence

from shared.bus import Lag, Outgoing, Outlook, Place, Published, Subscriber
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

    def queued(self, subscriber: Subscriber) -> int:
        return self._consuming[subscriber.consumer].queued()

    async def close(self) -> None:
        await self._publisher.close()
