"""What is measured: the same three times for the floor and for the product."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.benchmarks.ground import Ground, Waiting
from tests.benchmarks.load import CLIENTS, Work, drive, pace
from tests.benchmarks.processes import processor_seconds

BACKLOG = 500
"""Sustained means with no more than this accepted and not finished."""
LIGHT = 0.3
"""The part of the sustained rate at which latency is measured."""
_WARM_SECONDS = 3.0


@dataclass(frozen=True)
class Lengths:
    """How long and how much."""

    seconds: float
    drained: int
    rate: int
    """Completions a second that infusions are seeded for."""
    answers: int


async def sustained(work: Work, ground: Ground, lengths: Lengths, pids: Mapping[str, int]) -> dict[str, float]:
    """Completions a second from the request to the committed follow-up, the backlog held short."""
    await _driven(work, ground, await _seeded(ground, _WARM_SECONDS, lengths.rate), _WARM_SECONDS, hold_at=BACKLOG)
    waiting = await _seeded(ground, lengths.seconds, lengths.rate)
    cpu, wal = _cpu(pids), await ground.wal()
    driven = await _driven(work, ground, waiting, lengths.seconds, hold_at=BACKLOG)
    # Log and processor time go on until the last of them has its follow-up.
    all_of_them = driven["accepted"]
    figures = {"per_second": driven["finished"] / driven["seconds"], "deepest_backlog": driven["deepest"]}
    figures["wal_bytes"] = (await ground.wal() - wal) / all_of_them
    return figures | {f"cpu_ms_{name}": (spent - cpu[name]) * 1000 / all_of_them for name, spent in _cpu(pids).items()}


async def latency(work: Work, ground: Ground, lengths: Lengths, per_second: float) -> dict[str, float]:
    """Milliseconds from a request to the commit that makes its tasks visible, at a steady part of what is sustained."""
    rate = max(1.0, LIGHT * per_second)
    waiting = await ground.waiting(int(rate * lengths.seconds))
    before = await ground.finished()
    driven = await pace(work, waiting, rate)
    await ground.finish(before + len(waiting))
    visible = await ground.visible_at(driven.accepted)
    waits = sorted((visible[id_] - at).total_seconds() * 1000 for id_, at in driven.asked_at.items())
    return {"asked_per_second": rate, "p50_ms": waits[len(waits) // 2], "p99_ms": waits[len(waits) * 99 // 100], "max_ms": waits[-1]}


async def flat_out(work: Work, ground: Ground, lengths: Lengths) -> dict[str, float]:
    """The share of what 16 clients get accepted in a window, as fast as they can, that has its effect within the window."""
    driven = await _driven(work, ground, await _seeded(ground, lengths.seconds, lengths.rate), lengths.seconds, hold_at=None)
    return {"accepted_per_second": driven["accepted"] / driven["seconds"], "share": driven["finished"] / driven["accepted"]}


async def backlog(work: Work, ground: Ground, lengths: Lengths) -> int:
    """Complete so many infusions while nobody follows up; returns the mark that is reached when all are finished."""
    before = await ground.finished()
    waiting = iter(await ground.waiting(lengths.drained))

    async def client() -> None:
        for one in waiting:
            while not await work.complete(one):
                pass

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return before + lengths.drained


async def drained(ground: Ground, target: int) -> dict[str, float]:
    """Plans committed a second from the first sign of work to the last; the consumer was just started."""
    first = await ground.finished()
    begun = time.monotonic()
    while await ground.finished() == first:  # noqa: ASYNC110 - another process changes it
        await asyncio.sleep(0.01)
    moved, done = time.monotonic(), await ground.finished()
    await ground.finish(target)
    return {"per_second": (target - done) / (time.monotonic() - moved), "seconds_to_first": moved - begun}


async def _seeded(ground: Ground, seconds: float, rate: int) -> list[Waiting]:
    """More infusions than a window can complete; seeding them takes time and log that are nobody's."""
    return await ground.waiting(int(seconds * rate) + BACKLOG)


async def _driven(work: Work, ground: Ground, waiting: list[Waiting], seconds: float, *, hold_at: int | None) -> dict[str, float]:
    before = await ground.finished()
    driven = await drive(work, ground, waiting, seconds, hold_at=hold_at)
    await ground.finish(before + len(driven.accepted))
    done = set(driven.accepted)
    ground.give_back([one for one in waiting if one not in done])
    made = await ground.plans_of(driven.accepted)
    assert made == len(done), f"{len(done)} infusions were accepted and {made} have their follow-up"
    return {"accepted": len(done), "seconds": driven.seconds, "finished": driven.finished, "deepest": driven.deepest}


def _cpu(pids: Mapping[str, int]) -> dict[str, float]:
    """Seconds of processor time that each process has used."""
    return {name: processor_seconds([pid]) for name, pid in pids.items()}
