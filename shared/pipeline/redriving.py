"""Trying parked records again, key by key and in the order of each key, one transaction for each record.

What fails again stays parked, with a fresh reason, and holds up its key as before. What the live consumer parks meanwhile comes behind
and is taken up in the same go: parking and redriving lock the same rows.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import parked, parking, telemetry
from shared.db import is_away
from shared.inbox import Inbox
from shared.parked import ParkedRecord
from shared.parked_reasons import NEVER_APPLIED, ParkedReason


@dataclass(frozen=True, slots=True)
class Choice:
    """Which parked records: those of one key, of one reason, or of a range of numbers."""

    key: str | None = None
    reason: str | None = None
    from_id: int | None = None
    to_id: int | None = None

    def takes(self, parked_id: int, reason: str) -> bool:
        """Whether a key's oldest record may be tried. What only waits behind, or for its turn, goes on when what was before it is gone.

        An event whose time is years off is applied where a person names it by that reason or by its number, never with its whole key.
        """
        if self.from_id is not None and self.to_id is not None:
            return self.from_id <= parked_id <= self.to_id
        if self.key is not None:
            return reason != ParkedReason.TIME_OFF
        return reason in (self.reason, ParkedReason.BEHIND_PARKED_KEY, ParkedReason.FLOOD)

    def parameters(self) -> dict[str, object]:
        """For the statements that choose."""
        return {"key": self.key, "reason": self.reason, "from_id": self.from_id, "to_id": self.to_id}


@dataclass(frozen=True, slots=True)
class Lane:
    """One key that has chosen records, and its oldest record."""

    key: str
    first_chosen: int
    chosen: int
    head_id: int
    head_reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that failed again."""

    parked_id: int
    reason: ParkedReason
    error_class: str


@dataclass(slots=True)
class Outcome:
    """What became of the lanes: all up to ``done_up_to``, and where a lane was left before its end the record to go on at."""

    redriven: int = 0
    failed: list[Failure] = field(default_factory=list)
    held_up_by: list[int] = field(default_factory=list)
    done_up_to: int = 0
    resume_at: int | None = None
    complete: bool = True


class Note(Protocol):
    """Writes that a record was tried, in the transaction in which it was."""

    async def __call__(self, db: AsyncSession, parked_id: int, *, outcome: int) -> None: ...


class Redrive:
    """One go over chosen keys for a consumer, at most so many seconds; by whom, and with a note for every record."""

    def __init__(self, inbox: Inbox, choice: Choice, *, by: str, note: Note, seconds: float = 10.0) -> None:
        self._inbox = inbox
        self._choice = choice
        self._by = by
        self._note = note
        self._log = telemetry.logger("redrive", consumer=inbox.consumer)
        self._time: Callable[[], float] = asyncio.get_running_loop().time
        self._until = self._time() + seconds

    async def run(self, lanes: list[Lane], *, after: int) -> Outcome:
        """Take up the lanes one after the other. Raises Unavailable when the database is away; what is done stays done."""
        outcome = Outcome(done_up_to=after)
        for lane in lanes:
            if not await self._lane(lane, outcome):
                outcome.resume_at, outcome.complete = await self._head_of(lane.key), False
                return outcome
            # A lane that is taken up again comes first, wherever it stands.
            outcome.done_up_to = lane.first_chosen if lane.chosen else outcome.done_up_to
        return outcome

    async def _head_of(self, key: str) -> int | None:
        """What is now the oldest parked record of a key. By its reason alone it would not be found again."""
        async with self._inbox.database.transaction() as db:
            record = await parked.next_of_key(db, self._inbox.consumer, key)
            return record.parked_id if record is not None else None

    async def _lane(self, lane: Lane, outcome: Outcome) -> bool:
        """Whether the lane was taken as far as it goes; at least one record is tried, whatever the time."""
        while True:
            tried = await self._next(lane.key)
            if tried is None:
                return True
            if isinstance(tried, Failure):
                outcome.failed.append(tried)
                if tried.reason not in NEVER_APPLIED:
                    return True
            elif not self._choice.takes(tried.parked_id, tried.reason):
                if self._choice.key is not None or tried.parked_id < lane.first_chosen:
                    outcome.held_up_by.append(tried.parked_id)
                return True
            else:
                outcome.redriven += 1
            if self._time() > self._until:
                return False

    async def _next(self, key: str) -> ParkedRecord | Failure | None:
        """Try the oldest record of a key if it was chosen; returns it, or its failure, or None when nothing is parked any more."""
        record: ParkedRecord | None = None
        try:
            async with self._inbox.database.transaction() as db:
                record = await parked.next_of_key(db, self._inbox.consumer, key)
                if record is not None and self._choice.takes(record.parked_id, record.reason):
                    await self._inbox.handle_again(db, record.as_record(), of_any_time=record.reason == ParkedReason.TIME_OFF)
                    await parked.settle(db, record.parked_id, state="resolved", by=self._by)
                    await self._note(db, record.parked_id, outcome=200)
                return record
        except Exception as error:  # whatever a handler raises is its record's own, and is told to the operator
            if record is None or is_away(error):
                raise
            return await self._failed(record, error)

    async def _failed(self, record: ParkedRecord, error: Exception) -> Failure:
        """Keep the record with its fresh reason. One that is never applied holds nothing up any more."""
        reason, error_class = parking.reason_of(error)
        self._log.warning("redrive.failed", parked_id=record.parked_id, reason=reason.value, error_class=error_class,
                          error_place=telemetry.place_of(error))  # fmt: skip
        async with self._inbox.database.transaction() as db:
            await parked.keep(db, record.parked_id, reason, error_class)
            await self._note(db, record.parked_id, outcome=409)
        return Failure(record.parked_id, reason, error_class)


async def lanes(db: AsyncSession, consumer: str, choice: Choice, *, after: int, limit: int, resume_at: int | None = None) -> list[Lane]:
    """Keys with chosen records, by the first of these, from behind ``after`` on; before them the one that was left at ``resume_at``.

    ``limit`` keys in all; fewer are the last.
    """
    left = (await db.execute(_LEFT, {"consumer": consumer, "parked_id": resume_at})).mappings().all()
    fitting = {"after": after, "limit": limit - len(left)}
    rows = (await db.execute(_LANES, {**choice.parameters(), "consumer": consumer, **fitting})).mappings()
    return [Lane(**row) for row in (*left, *rows)]


async def set_aside(db: AsyncSession, consumer: str, choice: Choice) -> int:
    """How many chosen records block nothing: they can only be discarded."""
    count: int = (await db.execute(_SET_ASIDE, {**choice.parameters(), "consumer": consumer})).scalar_one()
    return count


async def for_relay(db: AsyncSession, choice: Choice) -> list[int]:
    """Chosen records that the relay parked, since no bus would take them."""
    return list(await db.scalars(_FOR_RELAY, choice.parameters()))


async def back_to_relay(db: AsyncSession, parked_ids: Sequence[int], *, by: str) -> None:
    """Give them to the relay once more; what is refused again is parked again."""
    await db.execute(_BACK_TO_RELAY, {"parked_ids": list(parked_ids), "by": by})


_CHOSEN = """
    (CAST(:key AS text) IS NULL OR key = CAST(:key AS text))
    AND (CAST(:reason AS text) IS NULL OR reason = CAST(:reason AS text))
    AND (CAST(:from_id AS bigint) IS NULL OR parked_id BETWEEN CAST(:from_id AS bigint) AND CAST(:to_id AS bigint))
"""
_LANES = text(
    f"""
    WITH chosen AS (
        SELECT key, min(parked_id) AS first_chosen, count(*) AS chosen FROM platform.parked
        WHERE consumer = :consumer AND state = 'parked' AND blocks_key AND {_CHOSEN}
        GROUP BY key HAVING min(parked_id) > :after ORDER BY 2 LIMIT :limit
    )
    SELECT chosen.*, head.parked_id AS head_id, head.reason AS head_reason
    FROM chosen CROSS JOIN LATERAL (
        SELECT parked_id, reason FROM platform.parked p
        WHERE p.consumer = :consumer AND p.key = chosen.key AND p.state = 'parked' AND p.blocks_key
        ORDER BY reason = 'sequence-gap', parked_id LIMIT 1
    ) AS head ORDER BY first_chosen
    """  # noqa: S608 - a constant of ours
)
_LEFT = text(
    """
    SELECT key, parked_id AS first_chosen, 0 AS chosen, parked_id AS head_id, reason AS head_reason FROM platform.parked
    WHERE consumer = :consumer AND parked_id = CAST(:parked_id AS bigint) AND state = 'parked' AND blocks_key
    """
)
_SET_ASIDE = text(
    f"SELECT count(*) FROM platform.parked WHERE consumer = :consumer AND state = 'parked' AND NOT blocks_key AND {_CHOSEN}"  # noqa: S608 - as above
)
_FOR_RELAY = text(
    f"SELECT parked_id FROM platform.parked WHERE consumer = 'relay' AND state = 'parked' AND {_CHOSEN} ORDER BY parked_id FOR UPDATE"  # noqa: S608 - as above
)
_BACK_TO_RELAY = text(
    """
    WITH settled AS (
        UPDATE platform.parked SET state = 'resolved', settled_at = now(), settled_by = :by, settled_why = NULL
        WHERE parked_id = ANY(CAST(:parked_ids AS bigint[])) RETURNING "offset"
    )
    INSERT INTO platform.outbox_pending (seq, partition)
    SELECT seq, partition FROM platform.event_log WHERE seq IN (SELECT "offset" FROM settled) ORDER BY seq ON CONFLICT DO NOTHING
    """
)
