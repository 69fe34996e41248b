"""Taking up what a consumer has parked only for a while: the surplus of a key, and what waited for one that was missing.

Key by key, each in its order, a chunk of each in turn, and never more than a part of the time: whoever waits here has waited already,
and everybody else's events come first. What fails is tried as often as a live event; then it stays parked as poison and holds up its
key, for a person.
"""

import asyncio
from collections.abc import Sequence

from shared import failpoints, parked, parking, telemetry
from shared.db import is_away
from shared.inbox import CHUNK, Inbox
from shared.parked import ParkedRecord
from shared.pausing import pause

_POLL_SECONDS = 1.0
_KEYS_AT_ONCE = 20
_REST = 3.0
"""So many times as long as a chunk took it rests: the live events have three quarters of the time at the least."""
BY = "consumer"
"""Who settles what is taken up."""


class Draining:
    """One consumer's loop."""

    def __init__(self, inbox: Inbox, *, rest: float = _REST, poll_seconds: float = _POLL_SECONDS) -> None:
        self._inbox = inbox
        self._rest = rest
        self._poll_seconds = poll_seconds
        self._after = ""
        self._tries: dict[str, int] = {}
        self._time = asyncio.get_running_loop().time
        self._log = telemetry.logger("draining", consumer=inbox.consumer)

    async def run(self, stop: asyncio.Event) -> None:
        """Look for such keys until ``stop``."""
        while not stop.is_set():
            try:
                found = await self.round(stop)
            except Exception as error:  # noqa: BLE001 - a worker's loop: it must survive and say so
                found = False
                say = self._log.warning if is_away(error) else self._log.error
                say("draining.round_failed", error_class=type(error).__name__, error_place=telemetry.place_of(error))
            if not found:
                await pause(stop, self._poll_seconds)

    async def round(self, stop: asyncio.Event | None = None) -> bool:
        """A chunk of each of the next keys; returns whether there were any."""
        keys = await self._keys()
        for key in keys:
            if stop is not None and stop.is_set():
                break
            began = self._time()
            await self._take_up(key)
            await asyncio.sleep((self._time() - began) * self._rest)
        return bool(keys)

    async def _keys(self) -> list[str]:
        """The next keys; after the last ones the first again."""
        async with self._inbox.database.transaction() as db:
            keys = await parked.keys_to_take_up(db, self._inbox.consumer, after=self._after, limit=_KEYS_AT_ONCE)
            if not keys and self._after:
                keys = await parked.keys_to_take_up(db, self._inbox.consumer, after="", limit=_KEYS_AT_ONCE)
        if not keys:
            self._tries.clear()
        self._after = keys[-1] if len(keys) == _KEYS_AT_ONCE else ""
        return keys

    async def _take_up(self, key: str) -> None:
        """One that a gap has closed before, or else a chunk of the flood, or where that fails its first record alone."""
        for limit in (CHUNK, 1):
            records: Sequence[ParkedRecord] = ()
            try:
                async with self._inbox.database.transaction() as db:
                    released = await parked.after_gap_of_key(db, self._inbox.consumer, key)
                    records = [released] if released else await parked.flood_of_key(db, self._inbox.consumer, key, limit)
                    await self._inbox.handle_again(db, *(record.as_record() for record in records))
                    await parked.settle_all(db, [record.parked_id for record in records], by=BY)
                    failpoints.hit("draining.before_commit")
                failpoints.hit("draining.after_commit")
                self._tries.pop(key, None)
                return
            except Exception as error:  # whatever a handler raises is its record's own, and parks it for a person
                if is_away(error) or not records:
                    raise
                if len(records) == 1:
                    await self._failed(key, records[0], error)
                    return

    async def _failed(self, key: str, record: ParkedRecord, error: Exception) -> None:
        """Leave it for a later round, or after as many tries as a live event has, for a person."""
        self._tries[key] = self._tries.get(key, 0) + 1
        if self._tries[key] < len(self._inbox.waits(error)):
            return
        del self._tries[key]
        reason, error_class = parking.reason_of(error)
        self._log.error("draining.failed", parked_id=record.parked_id, reason=reason.value, error_class=error_class,
                        error_place=telemetry.place_of(error))  # fmt: skip
        async with self._inbox.database.transaction() as db:
            await parked.keep(db, record.parked_id, reason, error_class)
