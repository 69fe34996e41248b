"""Mending a receiver's consumer as its operator would, without the service around it."""

from sqlmodel.ext.asyncio.session import AsyncSession

from shared import parked
from shared.inbox import Inbox
from shared.pipeline import redriving
from shared.pipeline.redriving import Choice, Outcome, Redrive

BY = "Client/operator"


async def redrive(inbox: Inbox, choice: Choice, *, after: int = 0, resume_at: int | None = None, seconds: float = 10.0) -> Outcome:
    """Try chosen records again, in the order of each key."""
    async with inbox.database.transaction() as db:
        lanes = await redriving.lanes(db, inbox.consumer, choice, after=after, limit=1000, resume_at=resume_at)
    return await Redrive(inbox, choice, by=BY, note=_no_note, seconds=seconds).run(lanes, after=after)


async def redrive_key(inbox: Inbox, key: object) -> int:
    """Try all records of a key again; returns how many went through."""
    return (await redrive(inbox, Choice(key=str(key)))).redriven


async def give_up(inbox: Inbox, parked_id: int) -> None:
    """Discard one record."""
    async with inbox.database.transaction() as db:
        await parked.settle(db, parked_id, state="discarded", by=BY, why="told by phone")


async def _no_note(db: AsyncSession, parked_id: int, *, outcome: int) -> None:
    return None
