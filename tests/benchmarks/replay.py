"""A recorded transaction as a template: the same statements with the ids of another infusion, and all other ids drawn anew."""

import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tests.benchmarks.ground import UUID_FORM
from tests.benchmarks.recording import Recording

Slot = Any  # Any: a constant, or one of the classes below


class _Id(int):
    """The place of an id."""

    def fill(self, ids: Sequence[Any]) -> Any:  # Any: an id or a number
        return ids[self]


class _Text:
    """A text with ids in it."""

    def __init__(self, parts: list[str | _Id], *, encoded: bool) -> None:
        self._parts = parts
        self._encoded = encoded

    def fill(self, ids: Sequence[Any]) -> str | bytes:  # Any: as above
        text = "".join(str(ids[part]) if isinstance(part, _Id) else part for part in self._parts)
        return text.encode() if self._encoded else text


class _List:
    def __init__(self, slots: list[Slot]) -> None:
        self._slots = slots

    def fill(self, ids: Sequence[Any]) -> list[Any]:  # Any: as above
        return [slot.fill(ids) if isinstance(slot, _Id | _Text | _List) else slot for slot in self._slots]


class Template:
    """One transaction, to be sent as often as wanted."""

    def __init__(self, recording: Recording, constants: set[UUID]) -> None:
        self._constants = constants
        self._places: dict[UUID | int, _Id] = {subject: _Id(n) for n, subject in enumerate(recording.subjects)}
        self._subjects = len(self._places)
        assert self._subjects == len(recording.subjects), "an id stands for one thing only"
        self.statements = [
            (
                statement.sql,
                statement.many,
                _List([self._slot(list(given) if isinstance(given, tuple) else given) for given in statement.parameters]),
            )
            for statement in recording.transaction.statements
        ]
        self._fresh = len(self._places) - self._subjects

    def _slot(self, value: Any) -> Slot:  # Any: a parameter
        match value:
            case UUID():
                return value if value in self._constants else self._place(value)
            case int() if value in self._places:
                return self._places[value]
            case str():
                return self._text(value, encoded=False)
            case bytes() if value.isascii():
                return self._text(value.decode(), encoded=True)
            case list():
                return _List([self._slot(one) for one in value])
        return value

    def _text(self, value: str, *, encoded: bool) -> Slot:
        parts: list[str | _Id] = []
        end = 0
        for found in UUID_FORM.finditer(value):
            id_ = UUID(found[0])
            if id_ not in self._constants:
                parts += [value[end : found.start()], self._place(id_)]
                end = found.end()
        if not parts:
            return value.encode() if encoded else value
        return _Text([*parts, value[end:]], encoded=encoded)

    def _place(self, id_: UUID) -> _Id:
        return self._places.setdefault(id_, _Id(len(self._places)))

    async def send(self, connection: Any, subjects: Sequence[UUID | int]) -> None:  # Any: asyncpg's generic
        """The transaction, about these subjects."""
        assert len(subjects) == self._subjects
        random = os.urandom(16 * self._fresh)
        ids = [*subjects, *(UUID(bytes=random[n : n + 16], version=4) for n in range(0, len(random), 16))]
        async with connection.transaction():
            for sql, many, parameters in self.statements:
                if many:
                    await connection.executemany(sql, parameters.fill(ids))
                else:
                    await connection.fetch(sql, *parameters.fill(ids))
