"""Waiting for a condition instead of for a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    probe: Callable[[], Awaitable[T]], holds: Callable[[T], object] = bool, *, within: float = 40.0, every: float = 0.01
) -> T:
    """What ``probe`` returns once it ``holds``. Fails, and shows the last one, when that takes longer than ``within`` seconds."""
    last: list[T] = []
    try:
        async with asyncio.timeout(within):
            while True:
                last[:] = [await probe()]
                if holds(last[0]):
                    return last[0]
                await asyncio.sleep(every)
    except TimeoutError:
        raise AssertionError(f"not within {within:g} s; at the end it was {last[0] if last else 'unknown'!r}") from None
