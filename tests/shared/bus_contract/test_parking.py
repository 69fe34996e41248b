"""What cannot be handled waits with its reason and holds up its own conversation only; a person decides what becomes of it."""

from functools import partial
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from shared.events.registry import MAX_EVENT_BYTES, Delivery
from shared.pipeline.redriving import Choice
from tests.support.mending import BY, give_up, redrive, redrive_key
from tests.support.parties import OTHER_CLINIC, Raw, Reaction, Utterance, raw, said
from tests.support.pipeline import Pipeline
from tests.support.waiting import eventually


class Indigestible(Exception):
    """A defect in a handler."""


def stumbles_over(conversation: UUID, *numbers: int) -> Reaction:
    async def reaction(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
        if delivery.event.conversation_id == conversation and delivery.event.number in numbers:
            raise Indigestible

    return reaction


async def story_is(pipeline: Pipeline, conversation: UUID, *numbers: int) -> bool:
    return await pipeline.receiver.story(conversation) == list(numbers)


async def test_poison_holds_up_its_conversation_and_no_other(pipeline: Pipeline) -> None:
    poisoned, other = uuid4(), uuid4()
    pipeline.receiver.reaction = stumbles_over(poisoned, 2)
    async with pipeline.process():
        for _ in range(4):
            await pipeline.sender.say(poisoned, other)
        await pipeline.settled()
        await pipeline.sender.say(poisoned, other)
        await pipeline.settled()
    assert await pipeline.receiver.story(other) == [1, 2, 3, 4, 5]
    assert await pipeline.receiver.story(poisoned) == [1]
    first, *behind = await pipeline.receiver.parked()
    assert (first["reason"], first["error_class"], first["attempts"]) == ("poison", "Indigestible", 3)
    assert [row["reason"] for row in behind] == ["behind-parked-key"] * 3
    assert {row["key"] for row in behind} == {first["key"]} == {str(poisoned)}
    assert pipeline.receiver.count("parked", reason="poison") == 1


async def test_redriving_takes_up_the_conversation_in_its_order(pipeline: Pipeline) -> None:
    poisoned = uuid4()
    pipeline.receiver.reaction = stumbles_over(poisoned, 2, 4)
    async with pipeline.process() as process:
        for _ in range(5):
            await pipeline.sender.say(poisoned)
        await pipeline.settled()
        inbox = process.inboxes["receiver"]
        pipeline.receiver.reaction = stumbles_over(poisoned, 4)
        assert [failure.error_class for failure in (await redrive(inbox, Choice(key=str(poisoned)))).failed] == ["Indigestible"]
        assert await pipeline.receiver.story(poisoned) == [1, 2, 3]
        pipeline.receiver.recover()
        assert await redrive_key(inbox, poisoned) == 2
        await pipeline.sender.say(poisoned)
        await pipeline.settled()
    assert await pipeline.receiver.story(poisoned) == [1, 2, 3, 4, 5, 6]
    assert await pipeline.receiver.parked() == []
    settled = await pipeline.receiver.admin.fetch("SELECT DISTINCT state, settled_by FROM platform.parked")
    assert [tuple(row) for row in settled] == [("resolved", BY)]


async def test_redriving_keeps_the_order_while_the_conversation_goes_on(pipeline: Pipeline) -> None:
    poisoned = uuid4()
    pipeline.receiver.reaction = stumbles_over(poisoned, 1)
    async with pipeline.process() as process:
        for _ in range(3):
            await pipeline.sender.say(poisoned)
        await pipeline.settled()

        async def goes_on(_db: AsyncSession, delivery: Delivery[Utterance]) -> None:
            if delivery.event.number <= 3:
                await pipeline.sender.say(poisoned, poisoned, poisoned)

        pipeline.receiver.reaction = goes_on
        await redrive_key(process.inboxes["receiver"], poisoned)
        await pipeline.settled()
        await redrive_key(process.inboxes["receiver"], poisoned)
    assert await pipeline.receiver.story(poisoned) == list(range(1, 13))
    assert await pipeline.receiver.parked() == []


async def test_what_waits_behind_a_record_that_was_given_up_goes_on_when_its_key_is_redriven(pipeline: Pipeline) -> None:
    poisoned = uuid4()
    pipeline.receiver.reaction = stumbles_over(poisoned, 1)
    async with pipeline.process() as process:
        await pipeline.sender.say(poisoned)
        await pipeline.sender.say(poisoned)
        await pipeline.settled()
        inbox = process.inboxes["receiver"]
        await give_up(inbox, (await pipeline.receiver.parked())[0]["parked_id"])
        await pipeline.sender.say(poisoned)
        await pipeline.settled()
        assert [row["reason"] for row in await pipeline.receiver.parked()] == ["behind-parked-key"] * 2
        assert await redrive_key(inbox, poisoned) == 2
    assert await pipeline.receiver.story(poisoned) == [2, 3]


def unreadable() -> dict[str, Raw]:
    """One record of each kind that nobody can read, each about a conversation of its own."""

    def spoiled(**changed: bytes | None) -> Raw:
        whole = raw(said(uuid4()))
        headers = {**dict(whole.headers), **{name: value for name, value in changed.items() if name.startswith("ce_")}}
        kept = tuple((name, value) for name, value in headers.items() if value is not None)
        return whole._replace(key=changed.get("key", whole.key), value=changed.get("value", whole.value), headers=kept)

    return {
        "no JSON": spoiled(value=b"\xff\xfe\x00"),
        "no value": spoiled(value=None),
        "no object": spoiled(value=b"[]"),
        "a number as text": spoiled(value=b'{"conversation_id":"' + b"0" * 32 + b'","number":"many"}'),
        "no id": spoiled(ce_id=None),
        "a broken id": spoiled(ce_id=b"12\x0034"),
        "no type": spoiled(ce_type=None),
        "no clinic": spoiled(ce_clinicid=None),
        "no headers": spoiled()._replace(headers=()),
        "headers that are no text": spoiled(ce_source=b"\xff\x00", ce_subject=b"\xfe", ce_time=b"\x00", ce_sequence=b"\xff"),
        "a name with a NUL": spoiled()._replace(headers=(("ce_\x00", b"\x00"),)),
        "another key": spoiled(key=str(uuid4()).encode()),
        "a key that is no text": spoiled(key=b"\xff\xfe"),
        "a key with a NUL": spoiled(key=b"\x00"),
        "no key": spoiled(key=None),
        "too much": spoiled(value=b'{"text":"' + b"x" * (300 * 1024) + b'"}'),
    }


async def test_what_nobody_can_read_is_parked_byte_for_byte(pipeline: Pipeline) -> None:
    cases = unreadable()
    conversation = uuid4()
    async with pipeline.process() as process:
        for spoiled in cases.values():
            await pipeline.inject(process, spoiled)
        await eventually(pipeline.receiver.parked, lambda rows: len(rows) >= len(cases))
        await pipeline.sender.say(conversation)
        await pipeline.settled()
    rows = await pipeline.receiver.parked()
    assert len(rows) == len(cases)
    assert {row["reason"] for row in rows} == {"undecodable"}
    assert {row["error_class"] for row in rows if len(row["value"] or b"") > MAX_EVENT_BYTES} == {"event-too-large"}
    assert sorted(row["value"] or b"" for row in rows) == sorted(spoiled.value or b"" for spoiled in cases.values())
    assert await pipeline.receiver.story(conversation) == [1]
    assert pipeline.receiver.alarms() == {}


async def test_what_nobody_can_read_is_remembered_over_a_restart(pipeline: Pipeline) -> None:
    spoiled = [case for case in unreadable().values() if case.key is not None]
    async with pipeline.process() as process:
        await pipeline.inject(process, *spoiled)
        await eventually(pipeline.receiver.parked, lambda rows: len(rows) >= len(spoiled))
    conversation = uuid4()
    await pipeline.sender.say(conversation)
    async with pipeline.process():
        await pipeline.settled()
    assert await pipeline.receiver.story(conversation) == [1]
    assert len(await pipeline.receiver.parked()) == len(spoiled)
    assert pipeline.receiver.alarms() == {}


async def test_an_unreadable_event_holds_up_what_follows_it(pipeline: Pipeline) -> None:
    conversation = uuid4()
    spoiled = raw(said(conversation))._replace(value=b"{}")
    async with pipeline.process() as process:
        await pipeline.inject(process, spoiled)
        await pipeline.sender.say(conversation)
        await pipeline.settled()
        assert [row["reason"] for row in await pipeline.receiver.parked()] == ["undecodable", "behind-parked-key"]
        inbox = process.inboxes["receiver"]
        await give_up(inbox, (await pipeline.receiver.parked())[0]["parked_id"])
        await redrive_key(inbox, conversation)
    assert await pipeline.receiver.story(conversation) == [1]


async def test_an_unknown_type_is_ignored_and_counted(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process() as process:
        await pipeline.inject(process, raw(said(conversation), type_name="sender.speech.sung.v1"))
        await pipeline.sender.say(conversation)
        await pipeline.settled()
    assert pipeline.receiver.count("inbox_ignored") == 1
    assert await pipeline.receiver.parked() == []
    assert await pipeline.receiver.story(conversation) == [1]


async def test_an_unknown_version_of_a_known_type_waits_for_a_release_that_knows_it(pipeline: Pipeline) -> None:
    conversation = uuid4()
    async with pipeline.process() as process:
        await pipeline.inject(process, raw(said(conversation), type_name="sender.speech.said.v2"))
        await pipeline.sender.say(conversation)
        await pipeline.settled()
    assert [row["reason"] for row in await pipeline.receiver.parked()] == ["version-unknown", "behind-parked-key"]
    assert await pipeline.receiver.done() == 0


async def test_an_unknown_field_is_ignored(pipeline: Pipeline) -> None:
    event = said(uuid4(), 7)
    newer = event.model_dump_json().encode().replace(b"{", b'{"mood":{"since":1},', 1)
    async with pipeline.process() as process:
        await pipeline.inject(process, raw(event)._replace(value=newer))
        await eventually(pipeline.receiver.done)
    assert await pipeline.receiver.story(event.conversation_id) == [7]
    assert await pipeline.receiver.parked() == []


async def test_another_clinics_event_is_set_aside_and_holds_up_nothing(pipeline: Pipeline) -> None:
    conversation = uuid4()
    stranger = raw(said(conversation, 66), clinic_id=OTHER_CLINIC)
    async with pipeline.process() as process:
        await pipeline.sender.say(conversation)
        await pipeline.settled()
        await pipeline.inject(process, stranger)
        await pipeline.sender.say(conversation)
        await pipeline.settled()
        await eventually(pipeline.receiver.parked)
        inbox = process.inboxes["receiver"]
        assert await redrive_key(inbox, conversation) == 0, "a stranger must not come in by redriving"
        (row,) = await pipeline.receiver.parked()
        assert (row["reason"], row["blocks_key"]) == ("tenant-mismatch", False)
        await give_up(inbox, row["parked_id"])
    assert await pipeline.receiver.story(conversation) == [1, 2]


async def test_what_a_failed_try_has_told_and_done_is_undone(pipeline: Pipeline) -> None:
    """Poison in the middle of a chunk: its neighbours are handled once, although the whole chunk was tried with it first."""
    poisoned = uuid4()
    others = [uuid4() for _ in range(20)]
    pipeline.receiver.reaction = stumbles_over(poisoned, 1)
    await pipeline.sender.say(*others[:10], poisoned, *others[10:])
    async with pipeline.process():
        await pipeline.settled()
        await eventually(partial(story_is, pipeline, others[-1], 1))
    assert sorted(effect.key for effect in await pipeline.receiver.effects()) == sorted(map(str, others))
