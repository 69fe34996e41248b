"""``python -m tests.shared.taking_up <database>``: a receiver's process that takes up what is parked for a while, until nothing is left."""

import asyncio
import sys
from datetime import timedelta
from typing import Any, cast

from shared.clock import FrozenClock
from shared.db import Database
from shared.draining import Draining
from shared.inbox import Inbox
from shared.reading import Bounds
from tests.support.parties import MORNING, Receiver, Said, events


async def main(url: str) -> None:
    """Round after round."""
    database = Database(url, name="receiver")
    receiver = Receiver("receiver", database, cast(Any, None))  # Any: it has no superuser here, and what is called needs none
    bounds = Bounds(FrozenClock(MORNING), timedelta(days=1), timedelta(days=730), 1)
    inbox = Inbox(
        database,
        consumer="receiver",
        registry=events,
        subscriptions={Said: receiver.on_utterances},
        metrics=receiver.metrics,
        bounds=bounds,
    )
    draining = Draining(inbox, rest=0)
    while await draining.round():
        pass
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
