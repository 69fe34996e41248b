"""Taking turns: who is taken along, who is not, and what becomes of them when the one with the turn does not come back."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.bus import Record
from shared.parked_reasons import ParkedReason
from shared.parking import Parking
from shared.reading import Chunk
from shared.turns import TOGETHER, Part, Turns


def part(count: int = 1, *, chunk: Chunk | None = None) -> Part:
    records = [Record("conversations", 0, n, None, None, ()) for n in range(count)]
    return Part(records, ("conversations", 0), 0, chunk or Chunk())


class Room:
    """Parts that queue behind one that holds the only turn until ``open`` is set."""

    def __init__(self) -> None:
        self.turns = Turns(1)
        self.open = asyncio.Event()
        self.companies: dict[int, Sequence[Part] | None] = {}

    async def enter(self, *parts: Part) -> "asyncio.Future[list[None]]":
        started = [asyncio.create_task(self._hold()), *(asyncio.create_task(self._take(one)) for one in parts)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return asyncio.gather(*started)

    async def _hold(self) -> None:
        async with self.turns.alone():
            await self.open.wait()

    async def _take(self, one: Part) -> None:
        async with self.turns.with_company(one) as company:
            self.companies[id(one)] = company
            for other in company or ():
                other.tell(committed=True)


async def test_whoever_waits_is_taken_along_by_the_first() -> None:
    room, parts = Room(), [part(), part(), part()]
    leaving = await room.enter(*parts)
    room.open.set()
    await leaving
    assert [room.companies[id(one)] for one in parts] == [parts[1:], None, None]
    assert all(one.done.result() for one in parts[1:])


async def test_nobody_waits_for_company() -> None:
    turns, one = Turns(1), part()
    async with turns.with_company(one) as company:
        assert company == []


async def test_a_chunk_is_taken_along_whole_or_not_at_all() -> None:
    room, parts = Room(), [part(TOGETHER - 10), part(11), part(10), part(1)]
    leaving = await room.enter(*parts)
    room.open.set()
    await leaving
    assert room.companies[id(parts[0])] == [parts[2]]
    assert room.companies[id(parts[1])] == [parts[3]]


async def test_what_has_to_be_parked_is_not_taken_along_and_takes_nobody() -> None:
    parking = Parking.of(part().records[0], reason=ParkedReason.UNDECODABLE, error_class="event-malformed")
    room, parts = Room(), [part(), part(chunk=Chunk(parkings=[parking])), part()]
    leaving = await room.enter(*parts)
    room.open.set()
    await leaving
    assert [room.companies[id(one)] for one in parts] == [[parts[2]], [], None]


async def test_who_was_taken_along_by_one_that_failed_is_told_to_try_alone() -> None:
    turns, first, second = Turns(1), part(), part()

    async def fails() -> None:
        async with turns.with_company(first) as company:
            assert company == [second]
            raise ConnectionResetError

    async def follows() -> bool:
        async with turns.with_company(second) as company:
            assert company is None
        return await second.done

    async with turns.alone():
        failing, following = asyncio.create_task(fails()), asyncio.create_task(follows())
        await asyncio.sleep(0)
    assert await following is False
    with pytest.raises(ConnectionResetError):
        await failing


async def test_who_is_called_off_while_waiting_is_not_taken_along() -> None:
    room, parts = Room(), [part(), part()]
    gone = part()
    leaving = await room.enter(parts[0])
    going = asyncio.create_task(room.turns.with_company(gone).__aenter__())
    await asyncio.sleep(0)
    going.cancel()
    await asyncio.wait({going})
    room.open.set()
    await leaving
    assert room.companies[id(parts[0])] == []


async def test_who_is_called_off_after_being_taken_along_disturbs_nobody() -> None:
    room, parts = Room(), [part(), part()]
    leaving = await room.enter(parts[0])
    waiting = asyncio.create_task(room.turns.with_company(parts[1]).__aenter__())
    await asyncio.sleep(0)
    parts[1].done.cancel()
    room.open.set()
    await leaving
    assert room.companies[id(parts[0])] == [parts[1]]
    assert await waiting is None
