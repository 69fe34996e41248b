"""Which version of a document counts in a clinic at a moment.

What a process has read of a clinic it keeps, with the clinic's stamp. Every transaction learns the stamp as it enters the clinic
(``shared.db``, ``shared.web.frame``), in the statement that it sends anyway: a newer one than ours says that we must read again.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast
from uuid import UUID

from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import telemetry
from shared.db import clinic_of, documents_stamp
from shared.documents.content import Document
from shared.documents.kinds import D, Kind
from shared.documents.queries import Activated, activated
from shared.documents.reading import Unreadable
from shared.errors import NotFound, Unavailable

_CLINICS_KEPT = 256
"""Clinics with documents of their own that a process remembers; those it used longest ago are read again when they come back."""


@dataclass(slots=True)
class _Known:
    """What was read of one clinic: by code, the newest activation first."""

    stamp: int
    activated: Mapping[str, Sequence[Activated]]
    read: dict[tuple[str, int], Document] = field(default_factory=dict)


class Documents:
    """The documents of one service."""

    def __init__(self, kinds: Iterable[Kind[Document]]) -> None:
        """Raises what is wrong with a default: the service must not start with it."""
        self.kinds = {kind.code: kind for kind in kinds}
        for kind in self.kinds.values():
            _ = kind.default
        self._clinics: OrderedDict[UUID, _Known] = OrderedDict()

    def kind(self, code: str) -> Kind[Document]:
        """Raises NotFound."""
        if code not in self.kinds:
            raise NotFound
        return self.kinds[code]

    async def in_force(self, db: AsyncSession, kind: Kind[D], at: datetime) -> D:
        """The version that counts in this transaction's clinic at that moment: the clinic's own, or else the default.

        Raises Unavailable where it cannot be read any more: work waits then, for nobody has agreed to be judged by another one.
        """
        known = await self._known(db)
        found = next((one for one in known.activated.get(kind.code, ()) if one.active_from <= at), None)
        if found is None:
            return kind.default
        name = (kind.code, found.version)
        if name not in known.read:
            known.read[name] = _read(kind, found)
        return cast(D, known.read[name])

    async def _known(self, db: AsyncSession) -> _Known:
        clinic_id, stamp = clinic_of(db), documents_stamp(db)
        known = self._clinics.get(clinic_id)
        if known is None or known.stamp < stamp:
            if stamp == 0:
                return _NOTHING
            known = self._clinics[clinic_id] = _Known(stamp, await activated(db))
        self._clinics.move_to_end(clinic_id)
        while len(self._clinics) > _CLINICS_KEPT:
            self._clinics.popitem(last=False)
        return known


_NOTHING = _Known(0, {})


def _read(kind: Kind[D], found: Activated) -> D:
    try:
        return kind.read(found.content, found.version)
    except (Unreadable, ValidationError) as error:
        telemetry.logger("documents").critical("documents.unreadable", reason=kind.code, error_class=type(error).__name__)
        raise Unavailable("A clinical document of this clinic cannot be read.") from None
