"""What no bus would take is given to the relay once more by a person, and is not lost when it is refused again."""

import json
from base64 import b64decode
from collections.abc import Sequence
from uuid import uuid4

from shared.bus import Outgoing, Published
from shared.local import LocalBus
from shared.pipeline import redriving
from shared.pipeline.redriving import Choice
from tests.support.mending import BY
from tests.support.pipeline import LocalPipeline
from tests.support.waiting import eventually


class ChoosyBus(LocalBus):
    """Refuses everything until told otherwise."""

    refuses = True

    async def publish(self, batch: Sequence[Outgoing]) -> Published:
        if self.refuses:
            return Published(refused={outgoing.seq: "RecordTooLargeError" for outgoing in batch})
        return await super().publish(batch)


async def give_back(pipeline: LocalPipeline) -> int:
    """Everything that the sender's relay has parked."""
    async with pipeline.sender.database.transaction() as db:
        parked_ids = await redriving.for_relay(db, Choice(reason="unpublishable"))
        await redriving.back_to_relay(db, parked_ids, by=BY)
    return len(parked_ids)


async def state_of(pipeline: LocalPipeline) -> list[tuple[object, ...]]:
    rows = await pipeline.sender.admin.fetch("SELECT consumer, state, attempts, settled_by FROM platform.parked")
    return [tuple(row) for row in rows]


async def test_what_is_refused_again_is_parked_again_and_what_is_taken_arrives(local: LocalPipeline) -> None:
    conversation, bus = uuid4(), ChoosyBus()
    async with local.process(bus=bus):
        await local.sender.say(conversation)
        await eventually(lambda: state_of(local), lambda rows: rows == [("relay", "parked", 1, None)])
        headers = dict(json.loads(await local.sender.admin.fetchval("SELECT headers FROM platform.parked")))
        assert b64decode(headers["ce_partitionkey"]).decode() == str(conversation)
        assert {"ce_type", "ce_subject"} <= set(headers), "a person sees what it was"
        assert await give_back(local) == 1
        await eventually(lambda: state_of(local), lambda rows: rows == [("relay", "parked", 2, None)])
        bus.refuses = False
        assert await give_back(local) == 1
        await eventually(lambda: local.receiver.story(conversation), lambda story: story == [1])
    assert await state_of(local) == [("relay", "resolved", 2, BY)]
    assert await give_back(local) == 0
