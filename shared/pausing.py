"""Waiting for a while, but not for longer than the process runs."""

import asyncio


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until ``stop`` is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
