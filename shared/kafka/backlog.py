"""Records of one partition that were fetched and wait to be handled."""

from collections import deque
from collections.abc import Iterable

from shared.bus import Record

_HIGH_RECORDS, _LOW_RECORDS = 400, 100
_HIGH_BYTES, _LOW_BYTES = 4 * 1024 * 1024, 1024 * 1024


class Backlog:
    """A queue that knows when it is long: fetching stops when it is ``full`` and goes on when it is ``low``."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def full(self) -> bool:
        return len(self._records) >= _HIGH_RECORDS or self._bytes >= _HIGH_BYTES

    @property
    def low(self) -> bool:
        return len(self._records) <= _LOW_RECORDS and self._bytes <= _LOW_BYTES

    def extend(self, records: Iterable[Record]) -> None:
        for record in records:
            self._records.append(record)
            self._bytes += _size(record)

    def clear(self) -> None:
        self._records.clear()
        self._bytes = 0

    def first_offset(self) -> int:
        return self._records[0].offset

    def oldest_at(self) -> float | None:
        """When the bus took the first record."""
        return self._records[0].written_at if self._records else None

    def skip_before(self, offset: int) -> None:
        """Drop what lies before an offset."""
        while self._records and self._records[0].offset < offset:
            self._take()

    def take(self, limit: int) -> list[Record]:
        """The first records, up to ``limit`` or to the first gap in their offsets."""
        taken = [self._take()]
        while self._records and len(taken) < limit and self._records[0].offset == taken[-1].offset + 1:
            taken.append(self._take())
        return taken

    def _take(self) -> Record:
        record = self._records.popleft()
        self._bytes -= _size(record)
        return record


def _size(record: Record) -> int:
    return len(record.value or b"")
